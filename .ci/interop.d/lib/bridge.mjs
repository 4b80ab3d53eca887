// Ways from clients to servers of which one, or both, are on standard input and output.
import { mkdtemp, rm, symlink } from 'node:fs/promises';
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

/**
 * Starts the proxy, and makes the route on which a client starts the shim with `args`: in a directory of its own, in which the
 * servers are, and with few variables, since recordings name them.
 */
export async function wrapped(args) {
  const directory = await mkdtemp(join(tmpdir(), 'shadowcat-interop-'));
  const cwd = await mkdtemp(join(tmpdir(), 'servers-'));
  for (const name of ['node_modules', 'peers']) await symlink(join(HERE, name), join(cwd, name));
  const recording = join(directory, 'session.jsonl');
  const program = resolve(process.env.SHADOWCAT_BIN);
  const env = { PATH: process.env.PATH, SHADOWCAT_DOOR_DIR: directory };
  const options = ['--listen', '127.0.0.1:0', '--headless', '--format', 'json', `--record=${recording}`];
  const child = await start('the proxy', program, options, { ready: LISTENING, env });
  return {
    command: [program, 'wrap', ...args],
    cwd,
    env,
    replacements: [],
    recording,
    close: async () => {
      const end = await child.stop();
      return { end, lines: child.lines, errors: child.errors };
    },
    remove: async () => {
      for (const folder of [directory, cwd]) await rm(folder, { recursive: true, force: true });
    },
  };
}
