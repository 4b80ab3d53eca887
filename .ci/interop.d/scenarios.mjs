// Which client meets which server, and in which modes of the proxy when not everything is asked for.
import { CLIENTS } from './lib/clients.mjs';
import { Observer } from './lib/observe.mjs';
import { startServer } from './lib/servers.mjs';
import { startWireServer } from './peers/wire-server.mjs';
import { everything } from './sessions/everything.mjs';
import { modern } from './sessions/modern.mjs';
import { rawEverything, rawModern } from './sessions/raw.mjs';
import { tasks } from './sessions/tasks.mjs';
import { wire } from './sessions/wire.mjs';

/** A session of a client library. With `onlySteps` the rest of what it saw is left out, where chance decides about it. */
function sdk(client, server, script, { modes, version, onlySteps = false, title = '' }) {
  return {
    name: `${client} ↔ ${server}${title}`,
    modes,
    start: () => startServer(server),
    session: async ({ route }) => {
      const observer = new Observer();
      await script({ ...CLIENTS[client]({ ...route, observer }), observer });
      const { steps, ...rest } = observer.data();
      return { data: onlySteps ? { steps } : { steps, ...rest }, methods: observer.methods };
    },
    sane: ({ steps }) => expectation('negotiated version', version, steps.connect.result?.version),
  };
}

/** Requests by hand. `fact` names one answer and `status` what it has to be without the proxy. */
function raw(server, start, script, { fact, status, methods = [] }) {
  return {
    name: `raw HTTP ↔ ${server}`,
    modes: ['reverse', 'forward'],
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

export const SCENARIOS = [
  sdk('sdk 1.x', 'everything', everything, { modes: ['reverse', 'forward'], version: '2025-11-25' }),
  sdk('sdk 1.x', 'everything', tasks, { modes: [], version: '2025-11-25', onlySteps: true, title: ' (tasks)' }),
  sdk('client 2.x legacy', 'everything', everything, { modes: ['reverse', 'forward'], version: '2025-11-25' }),
  sdk('client 2.x auto', 'everything', everything, { modes: ['reverse'], version: '2025-11-25' }),
  sdk('sdk 1.x (HTTP+SSE)', 'everything (HTTP+SSE)', everything, { modes: ['reverse', 'forward'], version: '2025-11-25' }),
  sdk('client 2.x (HTTP+SSE)', 'everything (HTTP+SSE)', everything, { modes: ['reverse'], version: '2025-11-25' }),
  sdk('client 2.x modern', 'modern', modern, { modes: ['reverse', 'forward'], version: '2026-07-28' }),
  sdk('client 2.x auto', 'modern', modern, { modes: ['reverse'], version: '2026-07-28' }),
  sdk('sdk 1.x', 'modern', modern, { modes: ['reverse'], version: '2025-11-25' }),
  raw('everything', () => startServer('everything'), rawEverything, { fact: 'DELETE', status: 200, methods: ['initialize', 'tools/list', 'tools/call', 'notifications/progress'] }),
  raw('modern', () => startServer('modern'), rawModern, { fact: 'an unknown method', status: 404, methods: ['server/discover', 'subscriptions/listen', 'notifications/tools/list_changed'] }),
  raw('odd server', startWireServer, wire, { fact: 'response headers', status: 200 }),
];
