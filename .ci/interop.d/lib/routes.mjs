// The ways from a client to a server: directly, and through the proxy in each of its modes.
//
// A route to an HTTP server has the `url` and `host` a client dials, an undici `dispatcher` for SDK clients, `environment`
// for other programs, `options(target)` for raw requests (and `tunnel()` if they need one). A route to a server that speaks
// over its stdin and stdout has the `command` a client starts. Each has `replacements` for what it changes itself in what
// a client sees, and `close()`.
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, ProxyAgent } from 'undici';
import { start } from './children.mjs';

const LISTENING = /listening on http:\/\/(127\.0\.0\.1:\d+)/;
const MOUNT = 'peer';
const PLACE = '<server>';
const PROXY = process.env.SHADOWCAT_BIN;

/** The modes for servers of each kind. In the last of each the client speaks to the proxy as the server does not. */
export const MODES = {
  http: ['reverse', 'forward', 'named', 'tunnel', 'outward'],
  stdio: ['wrap', 'bridge'],
};
const CROSSING = new Set(['outward', 'bridge']);

/** The route without a proxy. */
export function direct({ authority, path, command }) {
  if (command) return { command, replacements: [], close: async () => {} };
  const dispatcher = new Agent();
  return {
    url: `http://${authority}${path}`,
    host: authority,
    dispatcher,
    environment: {},
    options: target => ({ ...address(authority), path: target }),
    replacements: [[authority, PLACE]],
    close: () => dispatcher.destroy(),
  };
}

/**
 * Starts the proxy in `mode`, with `more` options, and makes the route through it; `close()` stops it and resolves to what it
 * left behind. `crosses` says that what the client sees of HTTP cannot be compared, `proxy` is where the proxy listens, and
 * `heard()` waits for a line of its output.
 */
export async function proxied(mode, server, more = []) {
  const directory = await mkdtemp(join(tmpdir(), 'shadowcat-interop-'));
  const recording = join(directory, 'session.jsonl');
  const args = ['--listen', '127.0.0.1:0', '--headless', '--format', 'json', `--record=${recording}`, ...more, ...OPTIONS[mode]?.(server) ?? []];
  const child = await start('the proxy', PROXY, args, { ready: LISTENING });
  const route = ROUTES[mode](child.match[1], server);
  return {
    ...route,
    crosses: CROSSING.has(mode),
    proxy: child.match[1],
    lines: child.lines,
    heard: child.heard,
    recording,
    close: async () => {
      await route.dispatcher?.destroy();
      const end = await child.stop();
      return { end, lines: child.lines, errors: child.errors };
    },
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

/** Without them a client may read progress together with its answer, and then some forget whom it is for. */
const RECORDED_TIMES = ['--speed', '1'];

/** The route to what `recording` has of the server, without the server. */
export async function replayed(recording, server) {
  if (server.command) return { command: [PROXY, 'replay', recording, '--stdio', ...RECORDED_TIMES], replacements: [], close: async () => {} };
  const child = await start('the recording', PROXY, ['replay', recording, '--listen', '127.0.0.1:0', '--headless', '--format', 'none', ...RECORDED_TIMES], { ready: LISTENING });
  const route = ROUTES.reverse(child.match[1], server);
  return {
    ...route,
    crosses: true,
    close: async () => {
      await route.dispatcher.destroy();
      await child.stop();
    },
  };
}

/** What the proxy itself is started with. */
const OPTIONS = {
  reverse: ({ authority, path }) => ['--upstream', `http://${authority}${path}`],
  named: ({ authority, path }) => ['--upstream', `${MOUNT}=http://${authority}${path}`],
  tunnel: () => ['--no-intercept', '*'],
  bridge: ({ command }) => ['--', ...command],
};

const ROUTES = {
  reverse: (proxy, { path, authority }) => ({
    url: `http://${proxy}${path}`,
    host: proxy,
    dispatcher: new Agent(),
    environment: {},
    options: target => ({ ...address(proxy), path: target }),
    replacements: [[proxy, PLACE], [authority, PLACE]],
  }),
  named: (proxy, { path, authority }) => ({
    url: `http://${proxy}/${MOUNT}`,
    host: proxy,
    dispatcher: new Agent(),
    environment: {},
    options: target => ({ ...address(proxy), path: mounted(target, path) }),
    replacements: [[proxy, PLACE], [authority, PLACE], [`/${MOUNT}/`, '/'], [`/${MOUNT}`, path]],
  }),
  forward: (proxy, { path, authority }) => ({
    url: `http://${authority}${path}`,
    host: authority,
    dispatcher: absoluteForm(proxy),
    environment: { HTTP_PROXY: `http://${proxy}`, http_proxy: `http://${proxy}`, NO_PROXY: '', no_proxy: '' },
    options: target => ({ ...address(proxy), path: `http://${authority}${target}` }),
    replacements: [[proxy, PLACE], [authority, PLACE]],
  }),
  tunnel: (proxy, { path, authority }) => ({
    url: `http://${authority}${path}`,
    host: authority,
    dispatcher: new ProxyAgent({ uri: `http://${proxy}`, proxyTunnel: true }),
    options: target => ({ ...address(authority), path: target }),
    tunnel: () => openTunnel(proxy, authority),
    replacements: [[proxy, PLACE], [authority, PLACE]],
  }),
  outward: (proxy, { path, authority }) => ({ command: [PROXY, 'wrap', '--connect', proxy, '--upstream', `http://${authority}${path}`], replacements: [[authority, PLACE]] }),
  wrap: (proxy, { command }) => ({ command: [PROXY, 'wrap', '--connect', proxy, '--', ...command], replacements: [] }),
  bridge: proxy => ({ url: `http://${proxy}/mcp`, sse: `http://${proxy}/sse`, host: proxy, dispatcher: new Agent(), environment: {}, replacements: [[proxy, PLACE]], shown: transport => transport !== 'stdio' }),
};

/** The mount itself is the endpoint; below it is everything else that the server has. */
function mounted(target, path) {
  const isEndpoint = target === path || target.startsWith(`${path}?`);
  return `/${MOUNT}${isEndpoint ? target.slice(path.length) : target}`;
}

/** Sends each request to the proxy with its whole URL as the target. (`ProxyAgent` does it too, but loses reason phrases.) */
function absoluteForm(proxy) {
  const agent = new Agent();
  const rewrite = dispatch => (options, handler) => {
    const { origin, path, headers } = options;
    return dispatch({ ...options, origin: `http://${proxy}`, path: origin + path, headers: { ...headers, host: new URL(origin).host } }, handler);
  };
  return agent.compose(rewrite);
}

function address(authority) {
  const { hostname, port } = new URL(`http://${authority}`);
  return { host: hostname, port };
}

function openTunnel(proxy, authority) {
  return new Promise((resolve, reject) => {
    const connect = request({ ...address(proxy), method: 'CONNECT', path: authority, headers: { Host: authority } });
    connect.once('connect', (response, socket) => {
      if (response.statusCode === 200) resolve(socket);
      else reject(new Error(`CONNECT was answered with ${response.statusCode}`));
    });
    connect.once('error', reject).end();
  });
}
