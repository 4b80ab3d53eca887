// The ways from a client to a server with the proxy between them. Each is what the proxy is started with for a server at
// `url`, and what the client dials or is given then.
import { python } from '../../interop.d/lib/python.mjs';
import { ABSOLUTE_FORM, OUTWARD, PROXY } from './programs.mjs';

const endpoint = proxy => `http://${proxy}/mcp`;

/** What an environment has to be for programs to use an HTTP proxy, also for the loopback. */
export const proxyEnvironment = proxy => ({
  NODE_USE_ENV_PROXY: '1', HTTP_PROXY: proxy, http_proxy: proxy, HTTPS_PROXY: proxy, https_proxy: proxy, NO_PROXY: '', no_proxy: '',
});

export const ROUTES = {
  reverse: {
    options: url => ['--upstream', url],
    url: (proxy, url) => Object.assign(new URL(url), { host: proxy }).href,
  },
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
    takes: scenario => !scenario.startsWith('auth/'),
  },
};

/** The routes on which a server is tested, and those on which a client is. */
export const SERVER_ROUTES = Object.keys(ROUTES);
export const CLIENT_ROUTES = ['reverse', 'named', 'forward', 'outward'];

function overPipes({ generation }) {
  const { program, server, env } = python(generation);
  return ['env', ...Object.entries(env).map(pair => pair.join('=')), program, server, 'stdio'];
}
