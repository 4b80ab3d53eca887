// Published clients and servers with a proxy between them that holds messages, and a script that decides about them.
//
//   SHADOWCAT_BIN=… node hold.mjs [--full] [PART OF A CASE'S NAME]
//
// What is decided is decided with `held`, as any script would. `--full` has every client and carrier, and waits for longer
// than clients do.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { killAll } from './lib/children.mjs';
import { CLIENTS } from './lib/clients.mjs';
import { Desk, holding } from './lib/desk.mjs';
import { Observer } from './lib/observe.mjs';
import { proxied } from './lib/routes.mjs';
import { startServer } from './lib/servers.mjs';
import { within } from './lib/time.mjs';
import { HELD, heldPython, heldSession, stepsWithout, toolsOf } from './sessions/held.mjs';
import { HEADERS_HELD, NOBODY_HELD, PATIENCE_HELD, headers, idleSocket, impatient, longerThanUsual, nobodyThere, nobodyThereForPython } from './sessions/held-alone.mjs';

const full = process.argv.includes('--full');
const only = process.argv.slice(2).find(argument => !argument.startsWith('--'));
const totals = { passed: 0, failed: 0 };
const CASE_MILLISECONDS = 180_000;
/** These sessions wait more than they work. */
const AT_ONCE = 4;

/** The commands and the proxies of this run find each other, and no others. */
process.env.SHADOWCAT_DOOR_DIR = mkdtempSync(join(tmpdir(), 'shadowcat-door-'));
process.once('exit', () => rmSync(process.env.SHADOWCAT_DOOR_DIR, { recursive: true, force: true }));

function check(name, problems) {
  totals[problems.length === 0 ? 'passed' : 'failed'] += 1;
  console.log(`${problems.length === 0 ? 'ok    ' : 'FAILED'} ${name}`);
  for (const problem of problems) console.log(`         ${problem}`);
}

/** A client, a server, and a proxy in `mode` that holds what matches `when`. Nothing is held in the end. */
function held({ name, server, mode, when, more = [], session, isFull = false }) {
  return {
    name,
    isFull,
    run: async () => {
      const peer = server ? await startServer(server) : { authority: '127.0.0.1:9', path: '/mcp', stop: async () => {} };
      const route = await proxied(mode, peer, [...holding(when), ...more]);
      try {
        const desk = new Desk(route);
        await desk.open();
        await within('end of the session', session({ route, desk, check: (step, problems) => check(`${name} · ${step}`, problems) }), CASE_MILLISECONDS);
        check(`${name} · nothing is held in the end`, (await desk.list()).map(row => `h${row.id} ${row.method} is`));
      } finally {
        const { end } = await route.close();
        check(`${name} · the proxy ends`, end.code === 0 ? [] : [JSON.stringify(end)]);
        await route.remove();
        await peer.stop();
      }
    },
  };
}

/** All that can be decided, with a JavaScript client. */
function sdk(client, server, mode, { without = [], ...about } = {}) {
  // What comes on pipes, or all in one stream, comes one after the other.
  const isOneLane = ['wrap', 'outward'].includes(mode) || client.includes('HTTP+SSE');
  const steps = stepsWithout(without);
  const session = ({ route, desk, check }) => {
    const observer = new Observer();
    return heldSession({ ...CLIENTS[client]({ ...route, observer }), observer, desk, tools: toolsOf(server), steps, isOneLane, check });
  };
  return held({ name: `${client} ↔ ${server} · ${mode}`, server, mode, when: HELD, session, ...about });
}

/** The same with the Python SDK. */
function py(generation, server, mode, { kind = 'http', speaks = 'legacy', without = [], ...about } = {}) {
  const steps = stepsWithout(without);
  const session = ({ route, desk, check }) => heldPython({ generation, route, kind, mode: speaks, desk, tools: toolsOf(server), steps, check });
  return held({ name: `python ${generation}${speaks === 'legacy' ? '' : ` ${speaks}`} ↔ ${server} · ${mode}`, server, mode, when: HELD, session, ...about });
}

const FULL = { isFull: true };
/** The first generation of this SDK ends its session when a request gets an HTTP error. */
const ENDED_BY_STATUS = { without: ['closed'] };
/** It logs an HTTP error of this carrier, and waits on. */
const DEAF_TO_STATUS = { without: ['status', 'closed'] };
const CASES = [
  sdk('sdk 1.x', 'everything', 'reverse'),
  sdk('client 2.x modern', 'modern', 'reverse'),
  sdk('sdk 1.x', 'everything (stdio)', 'wrap'),
  sdk('sdk 1.x', 'everything', 'outward'),
  sdk('sdk 1.x', 'everything (stdio)', 'bridge'),
  sdk('sdk 1.x (HTTP+SSE)', 'everything (HTTP+SSE)', 'reverse'),
  py(1, 'everything', 'reverse', ENDED_BY_STATUS),
  py(2, 'modern', 'reverse', { speaks: 'auto' }),
  py(2, 'everything (stdio)', 'wrap'),
  held({ name: 'sdk 1.x without a server', mode: 'reverse', when: NOBODY_HELD, session: nobodyThere('sdk 1.x') }),
  held({ name: 'python 2 without a server', mode: 'reverse', when: NOBODY_HELD, session: nobodyThereForPython(2) }),
  held({ name: 'headers of client 2.x modern', server: 'modern', mode: 'reverse', when: HEADERS_HELD, session: headers }),
  held({ name: 'sdk 1.x that gives up', server: 'everything', mode: 'reverse', when: PATIENCE_HELD, session: impatient }),
  held({ name: 'client 2.x with an impatient socket', server: 'modern', mode: 'reverse', when: HELD, session: idleSocket }),
  sdk('client 2.x legacy', 'everything', 'reverse', FULL),
  sdk('client 2.x legacy', 'everything', 'forward', FULL),
  sdk('client 2.x modern', 'modern', 'forward', FULL),
  sdk('client 2.x auto', 'modern (stdio)', 'wrap', FULL),
  sdk('client 2.x auto', 'modern (stdio)', 'bridge', FULL),
  sdk('client 2.x modern', 'modern', 'outward', FULL),
  sdk('client 2.x (HTTP+SSE)', 'everything (HTTP+SSE)', 'forward', FULL),
  sdk('sdk 1.x (HTTP+SSE)', 'everything (stdio)', 'bridge', FULL),
  sdk('sdk 1.x', 'everything', 'named', FULL),
  py(1, 'everything (HTTP+SSE)', 'reverse', { kind: 'sse', ...DEAF_TO_STATUS, ...FULL }),
  py(1, 'everything (stdio)', 'wrap', FULL),
  py(1, 'everything', 'outward', FULL),
  py(2, 'everything', 'forward', FULL),
  py(2, 'everything (stdio)', 'bridge', FULL),
  held({ name: 'python 1 without a server', mode: 'reverse', when: NOBODY_HELD, session: nobodyThereForPython(1), ...FULL }),
  held({ name: 'client 2.x legacy without a server', mode: 'reverse', when: NOBODY_HELD, session: nobodyThere('client 2.x legacy'), ...FULL }),
  held({ name: '65 s: sdk 1.x with its own limit of 60 s, and one that has more time', server: 'everything', mode: 'reverse', when: HELD, session: longerThanUsual, ...FULL }),
];

const waiting = CASES.filter(({ name, isFull }) => (full || !isFull) && name.includes(only ?? ''));
const worker = async () => {
  for (let next = waiting.shift(); next; next = waiting.shift()) {
    const began = performance.now();
    await next.run().catch(error => check(`${next.name} · runs to its end`, [error.stack]));
    console.log(`       ${next.name}: ${((performance.now() - began) / 1000).toFixed(1)} s`);
  }
};
await Promise.all(Array.from({ length: AT_ONCE }, worker));
killAll();
console.log(`${totals.passed} passed, ${totals.failed} failed`);
process.exit(totals.failed === 0 && totals.passed > 0 ? 0 : 1);
