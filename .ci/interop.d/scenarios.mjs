// Which client meets which server, and in which modes of the proxy when not everything is asked for.
import { CLIENTS } from './lib/clients.mjs';
import { Observer } from './lib/observe.mjs';
import { startServer } from './lib/servers.mjs';
import { startWireServer } from './peers/wire-server.mjs';
import { pythonSurvey, rustSurvey } from './sessions/elsewhere.mjs';
import { everything } from './sessions/everything.mjs';
import { modern } from './sessions/modern.mjs';
import { rawEverything, rawModern } from './sessions/raw.mjs';
import { survey } from './sessions/survey.mjs';
import { tasks } from './sessions/tasks.mjs';
import { wire } from './sessions/wire.mjs';

/**
 * What a server sends while the client opens its stream, so that chance decides whether it comes: as soon as it has been told
 * of the handshake, this one says that it has more tools now.
 */
const BY_CHANCE = { everything: ['notifications/tools/list_changed'] };

function withoutChance(server, { inbound, ...rest }) {
  const left = Object.entries(inbound ?? {}).filter(([method]) => !BY_CHANCE[server.split(' ')[0]]?.includes(method));
  return inbound ? { ...rest, inbound: Object.fromEntries(left) } : rest;
}

/** After which modes the recording is put in the place of the server: one for each carrier. */
const replays = mode => mode === 'reverse' || mode === 'wrap';

/** A session of a client library. `without` are parts of what it saw that are left out, where chance decides about them. */
function sdk(client, server, script, { modes, version, without = [], title = '' }) {
  return {
    name: `${client} ↔ ${server}${title}`,
    modes,
    replays,
    start: () => startServer(server),
    session: async ({ route }) => {
      const observer = new Observer();
      await script({ ...CLIENTS[client]({ ...route, observer }), observer });
      const parts = Object.entries(observer.data()).filter(([part]) => !without.includes(part));
      return { data: withoutChance(server, Object.fromEntries(parts)), methods: observer.methods };
    },
    sane: ({ steps }) => expectation('negotiated version', version, steps.connect.result?.version),
  };
}

/** A survey by another program; none has a way to ask for a tunnel to an `http:` URL. */
function elsewhere(name, server, survey, { modes, version }) {
  return {
    name: `${name} ↔ ${server}`,
    modes,
    replays,
    takes: route => route !== 'tunnel',
    start: () => startServer(server),
    session: async ({ route }) => {
      const { data, methods } = await survey(route);
      return { data: withoutChance(server, data), methods };
    },
    sane: ({ steps }) => expectation('negotiated version', version, steps.connect?.result?.version ?? steps.connect?.result?.protocolVersion),
  };
}

function py(generation, server, { kind = 'http', mode = 'legacy', ...about }) {
  const name = `python ${generation}${mode === 'legacy' ? '' : ` ${mode}`}`;
  return elsewhere(name, server, route => pythonSurvey(generation, route, { kind, mode }), about);
}

function rust(server, { mode = 'legacy', ...about }) {
  return elsewhere(`rmcp${mode === 'legacy' ? '' : ` ${mode}`}`, server, route => rustSurvey(route, { mode }), about);
}

/** Requests by hand. `fact` names one answer and `status` what it has to be without the proxy. */
function raw(server, start, script, { fact, status, methods = [] }) {
  return {
    name: `raw HTTP ↔ ${server}`,
    modes: ['reverse', 'forward'],
    takes: mode => mode !== 'outward',
    start,
    session: async ({ route, full }) => {
      const observer = new Observer();
      await script({ route, observer, full });
      return { data: { steps: observer.data().steps }, methods: new Set(methods) };
    },
    sane: ({ steps }) => expectation(fact, status, steps[fact]?.result?.status),
  };
}

const expectation = (what, expected, actual) => (actual === expected ? [] : [`${what}: expected ${expected}, got ${actual}`]);

const CHOSEN = [
  sdk('sdk 1.x', 'everything', everything, { modes: ['reverse', 'forward'], version: '2025-11-25' }),
  sdk('sdk 1.x', 'everything', tasks, { modes: [], version: '2025-11-25', without: ['inbound', 'exchanges'], title: ' (tasks)' }),
  sdk('client 2.x legacy', 'everything', everything, { modes: ['reverse', 'forward'], version: '2025-11-25' }),
  sdk('client 2.x auto', 'everything', everything, { modes: ['reverse'], version: '2025-11-25' }),
  sdk('sdk 1.x (HTTP+SSE)', 'everything (HTTP+SSE)', everything, { modes: ['reverse', 'forward'], version: '2025-11-25' }),
  sdk('client 2.x (HTTP+SSE)', 'everything (HTTP+SSE)', everything, { modes: ['reverse'], version: '2025-11-25' }),
  sdk('client 2.x modern', 'modern', modern, { modes: ['reverse', 'forward'], version: '2026-07-28' }),
  sdk('client 2.x auto', 'modern', modern, { modes: ['reverse'], version: '2026-07-28' }),
  sdk('sdk 1.x', 'modern', modern, { modes: ['reverse'], version: '2025-11-25' }),
  sdk('sdk 1.x', 'python 1', survey, { modes: ['reverse'], version: '2025-11-25', without: ['exchanges'] }),
  sdk('client 2.x auto', 'python 2', survey, { modes: ['forward'], version: '2026-07-28', without: ['exchanges'] }),
  py(1, 'everything', { modes: ['reverse', 'forward'], version: '2025-11-25' }),
  py(2, 'everything', { modes: ['reverse'], version: '2025-11-25' }),
  py(1, 'everything (HTTP+SSE)', { modes: ['reverse'], version: '2025-11-25', kind: 'sse' }),
  py(2, 'everything (HTTP+SSE)', { modes: [], version: '2025-11-25', kind: 'sse' }),
  py(2, 'modern', { modes: ['forward'], version: '2026-07-28', mode: 'auto' }),
  py(1, 'python 1', { modes: [], version: '2025-11-25' }),
  py(2, 'python 2', { modes: [], version: '2026-07-28', mode: 'auto' }),
  py(1, 'python 2', { modes: [], version: '2025-11-25' }),
  sdk('sdk 1.x', 'everything (stdio)', everything, { modes: ['wrap', 'bridge'], version: '2025-11-25' }),
  sdk('client 2.x legacy', 'everything (stdio)', everything, { modes: ['bridge'], version: '2025-11-25' }),
  sdk('sdk 1.x (HTTP+SSE)', 'everything (stdio)', everything, { modes: ['bridge'], version: '2025-11-25' }),
  py(1, 'everything (stdio)', { modes: [], version: '2025-11-25' }),
  py(2, 'python 1 (stdio)', { modes: ['wrap'], version: '2025-11-25' }),
  py(2, 'python 2 (stdio)', { modes: [], version: '2026-07-28', mode: 'auto' }),
  rust('everything', { modes: ['reverse'], version: '2025-11-25' }),
  rust('modern', { mode: 'auto', modes: ['forward'], version: '2026-07-28' }),
  rust('everything (stdio)', { modes: ['wrap'], version: '2025-11-25' }),
  sdk('sdk 1.x', 'rust', survey, { modes: ['reverse'], version: '2025-11-25', without: ['exchanges'] }),
  py(2, 'rust', { modes: [], version: '2026-07-28', mode: 'auto' }),
  sdk('client 2.x auto', 'rust (stdio)', survey, { modes: ['bridge'], version: '2026-07-28' }),
  py(1, 'rust (stdio)', { modes: [], version: '2025-11-25' }),
  raw('everything', () => startServer('everything'), rawEverything, { fact: 'DELETE', status: 200, methods: ['initialize', 'tools/list', 'tools/call', 'notifications/progress'] }),
  raw('modern', () => startServer('modern'), rawModern, { fact: 'an unknown method', status: 404, methods: ['server/discover', 'subscriptions/listen', 'notifications/tools/list_changed'] }),
  raw('odd server', startWireServer, wire, { fact: 'response headers', status: 200 }),
];

const CLIENT_NAMES = {
  'sdk 1.x': (server, about) => sdk('sdk 1.x', server, survey, about),
  'client 2.x legacy': (server, about) => sdk('client 2.x legacy', server, survey, about),
  'client 2.x auto': (server, about) => sdk('client 2.x auto', server, survey, about),
  'python 1': (server, about) => py(1, server, about),
  'python 2': (server, about) => py(2, server, about),
  'python 2 auto': (server, about) => py(2, server, { ...about, mode: 'auto' }),
  'rmcp': (server, about) => rust(server, about),
  'rmcp auto': (server, about) => rust(server, { ...about, mode: 'auto' }),
};
/** The servers that speak the newer revision too, if a client asks for it. */
const NEWER = ['modern', 'python 2', 'rust'];
const SERVER_NAMES = ['everything', 'python 1', ...NEWER].flatMap(name => [name, `${name} (stdio)`]);

/** Each client with each server: those that are not chosen above try everything that the server says it has. */
function others() {
  const chosen = new Set(CHOSEN.map(({ name }) => name));
  const pairs = SERVER_NAMES.flatMap(server => Object.entries(CLIENT_NAMES).map(([client, make]) => {
    const isNewer = client.endsWith(' auto') && NEWER.includes(server.replace(' (stdio)', ''));
    return make(server, { modes: [], version: isNewer ? '2026-07-28' : '2025-11-25', without: ['exchanges'] });
  }));
  return pairs.filter(({ name }) => !chosen.has(name));
}

export const SCENARIOS = [...CHOSEN, ...others()];
