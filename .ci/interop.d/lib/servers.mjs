// The servers under test.
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { start } from './children.mjs';
import { python } from './python.mjs';
import { SERVER as RUST } from './rust.mjs';

const LOOPBACK = fileURLToPath(new URL('../peers/loopback.mjs', import.meta.url));
const EVERYTHING = createRequire(import.meta.url).resolve('@modelcontextprotocol/server-everything/dist/index.js');
const MODERN = fileURLToPath(new URL('../peers/modern-server.mjs', import.meta.url));

const onLoopback = (args, path) => ({ program: process.execPath, args: ['--import', LOOPBACK, ...args], path });

/** Those with a `path` serve HTTP, the others are commands for clients to start. */
export const SERVERS = {
  'everything': onLoopback([EVERYTHING, 'streamableHttp'], '/mcp'),
  'everything (HTTP+SSE)': onLoopback([EVERYTHING, 'sse'], '/sse'),
  'modern': onLoopback([MODERN], '/mcp'),
  'python 1': { ...pythonServer(1), path: '/mcp' },
  'python 2': { ...pythonServer(2), path: '/mcp' },
  'rust': { program: RUST, args: ['http'], path: '/mcp' },
  'rust (stdio)': { program: RUST, args: [] },
  'modern (stdio)': { program: process.execPath, args: [MODERN, 'stdio'] },
  'everything (stdio)': { program: process.execPath, args: [EVERYTHING, 'stdio'] },
  'python 1 (stdio)': pythonServer(1, 'stdio'),
  'python 2 (stdio)': pythonServer(2, 'stdio'),
};

function pythonServer(generation, ...args) {
  const { program, server, env } = python(generation);
  return { program, args: [server, ...args], env };
}

/**
 * Starts one of `SERVERS`; the result has its `authority`, the `path` of its endpoint, and `stop()`. Of a server over stdin
 * and stdout it has the `command`.
 */
export async function startServer(name) {
  const { program, args, path, env = {} } = SERVERS[name];
  if (!path) return { command: ['env', ...Object.entries(env).map(pair => pair.join('=')), program, ...args], stop: async () => {} };
  const child = await start(name, program, args, { ready: /^test server on port (\d+)$/, env });
  return { authority: `127.0.0.1:${child.match[1]}`, path, stop: child.stop };
}
