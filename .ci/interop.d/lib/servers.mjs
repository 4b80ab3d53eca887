// The servers under test, each as a child process on a free loopback port.
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { start } from './children.mjs';

const LOOPBACK = fileURLToPath(new URL('../peers/loopback.mjs', import.meta.url));
const EVERYTHING = createRequire(import.meta.url).resolve('@modelcontextprotocol/server-everything/dist/index.js');
const MODERN = fileURLToPath(new URL('../peers/modern-server.mjs', import.meta.url));

export const SERVERS = {
  'everything': { args: [EVERYTHING, 'streamableHttp'], path: '/mcp' },
  'everything (HTTP+SSE)': { args: [EVERYTHING, 'sse'], path: '/sse' },
  'modern': { args: [MODERN], path: '/mcp' },
};

/** Starts one of `SERVERS`; the result has its `authority`, the `path` of its endpoint, and `stop()`. */
export async function startServer(name) {
  const { args, path } = SERVERS[name];
  const child = await start(name, process.execPath, ['--import', LOOPBACK, ...args], { ready: /^test server on port (\d+)$/ });
  return { authority: `127.0.0.1:${child.match[1]}`, path, stop: child.stop };
}
