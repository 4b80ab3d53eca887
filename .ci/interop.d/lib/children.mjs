// Child processes: started, awaited by what they print, and ended by their own pid.
import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { createInterface } from 'node:readline';
import { within } from './time.mjs';

/** Programs start slowly where much else is going on. */
const START_MILLISECONDS = 120_000;

const alive = new Set();

/**
 * Starts a program and resolves once a line of its stderr matches `ready`.
 *
 * The result has `match`, the `lines` of stdout so far, `heard()`, and `stop()`, which ends the child and resolves to its exit.
 */
export async function start(name, command, args, { ready, env = {} }) {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  alive.add(child);
  const lines = [];
  const errors = [];
  const news = new EventEmitter().setMaxListeners(0);
  const out = createInterface({ input: child.stdout }).on('line', line => { lines.push(line); news.emit('line'); });
  const drained = Promise.all([once(out, 'close'), once(child, 'close')]);
  const exited = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => { alive.delete(child); resolve({ code, signal }); });
  });
  exited.catch(() => alive.delete(child));
  const match = await within(`start of ${name}`, new Promise((resolve, reject) => {
    createInterface({ input: child.stderr }).on('line', line => {
      errors.push(line);
      const found = ready.exec(line);
      if (found) resolve(found);
    });
    exited.then(end => reject(new Error(`${name} ended at once (${JSON.stringify(end)}):\n${errors.join('\n')}`)), reject);
  }), START_MILLISECONDS).catch(error => { child.kill('SIGKILL'); throw error; });

  /** Resolves to the number of the first line of stdout, at `from` or later, for which `isIt` holds. */
  const heard = (what, from, isIt) => within(what, (async () => {
    for (let at = from; ; at += 1) {
      while (at >= lines.length) await once(news, 'line');
      if (isIt(lines[at])) return at;
    }
  })());
  const stop = async () => {
    const began = performance.now();
    child.kill('SIGTERM');
    const end = await within(`end of ${name}`, exited, 10_000).catch(() => ({ stuck: true }));
    if (end.stuck) child.kill('SIGKILL');
    await within(`output of ${name}`, drained, 10_000);
    return { ...end, milliseconds: Math.round(performance.now() - began) };
  };
  return { match, lines, errors, heard, stop };
}

/** Ends what is still running; for the way out of a run that failed or was interrupted. */
export function killAll() {
  for (const child of alive) child.kill('SIGKILL');
}
