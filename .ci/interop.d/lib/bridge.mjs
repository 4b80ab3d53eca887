// The way from a client over HTTP to a server on standard input and output, through the proxy that starts it.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Agent } from 'undici';
import { start } from './children.mjs';

const HERE = fileURLToPath(new URL('..', import.meta.url));
const LISTENING = /listening on http:\/\/(127\.0\.0\.1:\d+)/;
/** Recordings name the variables that a server gets and the directory that it runs in: few of both. */
const CLEANLY = 'cd "$0" && exec env -i PATH="$PATH" "$@"';

/** Commands of servers, run in this folder. */
export const COMMANDS = {
  everything: ['node', 'node_modules/@modelcontextprotocol/server-everything/dist/index.js', 'stdio'],
  modern: ['node', 'peers/modern-server.mjs', 'stdio'],
};

/** Starts the proxy in front of a command and makes the route through it. */
export async function bridged(command) {
  const directory = await mkdtemp(join(tmpdir(), 'shadowcat-interop-'));
  const recording = join(directory, 'session.jsonl');
  const args = ['--listen', '127.0.0.1:0', '--headless', '--format', 'json', `--record=${recording}`, '--', ...command];
  const child = await start('the proxy', 'sh', ['-c', CLEANLY, HERE, resolve(process.env.SHADOWCAT_BIN), ...args], { ready: LISTENING });
  const dispatcher = new Agent();
  return {
    url: `http://${child.match[1]}/mcp`,
    host: child.match[1],
    dispatcher,
    replacements: [[child.match[1], '<server>']],
    recording,
    close: async () => {
      await dispatcher.destroy();
      const end = await child.stop();
      return { end, lines: child.lines, errors: child.errors };
    },
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}
