// Which client meets which server, and in which modes of the proxy when not everything is asked for.
import { CLIENTS } from './lib/clients.mjs';
import { Observer } from './lib/observe.mjs';
import { startServer } from './lib/servers.mjs';
import { everything } from './sessions/everything.mjs';
import { tasks } from './sessions/tasks.mjs';
import { modern } from './sessions/modern.mjs';

function sdk(client, server, script, { modes, version, onlySteps = false, title = '' }) {
  return {
    name: `${client} ↔ ${server}${title}`,
    modes,
    start: () => startServer(server),
    session: async ({ route }) => {
      const observer = new Observer();
      const peer = CLIENTS[client]({ ...route, observer });
      await script({ ...peer, observer });
      const { steps, ...rest } = observer.data();
      return { data: onlySteps ? { steps } : { steps, ...rest }, methods: observer.methods };
    },
    sane: ({ steps }) => (steps.connect.result?.version === version ? [] : [`expected version ${version}: ${JSON.stringify(steps.connect).slice(0, 400)}`]),
  };
}

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
];
