// The ways from a client to a server with the proxy between them. Each is what the proxy is started with for a server at
// `url`, and what the client dials or is given then. Where a client needs help for that, a `script` runs it.
import { python } from '../../interop.d/lib/python.mjs';
import { ABSOLUTE_FORM, BROWSER, OUTWARD, PROXY } from './programs.mjs';

const endpoint = proxy => `http://${proxy}/mcp`;

/** What an environment has to be for programs to use an HTTP proxy, also for the loopback. */
export const proxyEnvironment = proxy => ({
  NODE_USE_ENV_PROXY: '1', HTTP_PROXY: proxy, http_proxy: proxy, HTTPS_PROXY: proxy, https_proxy: proxy, NO_PROXY: '', no_proxy: '',
});

const samePath = (proxy, url) => Object.assign(new URL(url), { host: proxy }).href;
const isLogin = scenario => scenario.startsWith('auth/');

/** The reverse proxy with another way of treating those that log in; to all others it is the same. */
const oauth = way => ({ options: url => ['--upstream', url, '--oauth', way], url: samePath, takes: isLogin });

export const ROUTES = {
  reverse: {
    options: url => ['--upstream', url],
    url: samePath,
  },
  relay: { ...oauth('relay'), script: BROWSER },
  off: oauth('off'),
  named: {
    options: url => ['--upstream', `peer=${url}`],
    url: proxy => `http://${proxy}/peer`,
  },
  forward: {
    options: () => [],
    url: (_proxy, url) => url,
    env: proxy => ({ ...proxyEnvironment(`http://${proxy}`), NODE_USE_ENV_PROXY: '', NODE_OPTIONS: `--import ${ABSOLUTE_FORM}` }),
  },
  tunnel: {
    options: () => [],
    url: (_proxy, url) => url,
    env: proxy => proxyEnvironment(`http://${proxy}`),
    /** Nobody looks into a tunnel: what can be seen of it is that it was there. */
    kind: 'tunnel',
  },
  /** HTTP in front of the server over its pipes. */
  bridge: {
    options: () => [],
    command: (_url, leg) => overPipes(leg),
    url: endpoint,
  },
  /** The same with a shim between. */
  shim: {
    options: () => [],
    command: (_url, leg) => [PROXY, 'wrap', '--', ...overPipes(leg)],
    url: endpoint,
  },
  /** HTTP to pipes, and pipes to HTTP again; a client is given pipes only. Those that log in have to dial by themselves. */
  outward: {
    options: () => [],
    command: url => [PROXY, 'wrap', '--upstream', url],
    url: endpoint,
    script: OUTWARD,
    /** For the script, which makes a command of it. */
    given: (_proxy, url) => url,
    takes: scenario => !isLogin(scenario),
  },
};

/** The routes on which a server is tested, and those on which a client is. */
export const SERVER_ROUTES = ['reverse', 'named', 'forward', 'tunnel', 'bridge', 'shim', 'outward'];
export const CLIENT_ROUTES = ['reverse', 'named', 'relay', 'off', 'forward', 'outward'];

function overPipes({ generation }) {
  const { program, server, env } = python(generation);
  return ['env', ...Object.entries(env).map(pair => pair.join('=')), program, server, 'stdio'];
}
