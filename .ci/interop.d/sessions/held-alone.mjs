// Sessions that ask one thing of held messages each: no server, headers that follow an edit, and how long clients wait.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Agent } from 'undici';
import { CLIENTS, callTool } from '../lib/clients.mjs';
import { Observer } from '../lib/observe.mjs';
import { python } from '../lib/python.mjs';
import { within } from '../lib/time.mjs';
import { outcome } from './held.mjs';

const run = promisify(execFile);
const pause = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));
const expect = (what, expected, actual) => (expected === actual ? [] : [`${what}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`]);
const clientOf = (name, route, more = {}) => CLIENTS[name]({ ...route, observer: new Observer(), ...more });

/** All that a client of a server says that is not there. */
export const NOBODY_HELD = 'method:initialize | method:notifications/initialized | method:tools/list | method:tools/call';

const HANDSHAKE = { protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo: { name: 'by hand', version: '1' } };
/** What a person says in the place of a server. Some clients list the tools of one that they called. */
const RESULTS = {
  'initialize': HANDSHAKE,
  'tools/list': { tools: [{ name: 'echo', inputSchema: { type: 'object' } }] },
  'tools/call': { content: [{ type: 'text', text: 'there is no {{$.params.arguments.message}}' }] },
};

/** Plays the server until the session has ended. */
async function playServer(desk, ended) {
  const seen = [];
  for (;;) {
    const row = await Promise.race([desk.nextRow(), ended]);
    if (!row) return seen;
    seen.push(row.method);
    if (row.kind === 'notification') await desk.held('drop', `h${row.id}`);
    else await desk.held('answer', `h${row.id}`, '--result', JSON.stringify(RESULTS[row.method]));
    const { ending, actor } = await desk.decided(row.id);
    seen.push(`${ending} by ${actor}`);
  }
}

const PLAYED = ['initialize', 'answered by script', 'notifications/initialized', 'dropped by script'];
const wasPlayed = seen => expect('the handshake', PLAYED.join(', '), seen.slice(0, 4).join(', '));

export const nobodyThere = name => async ({ route, desk, check }) => {
  const { client, transport } = clientOf(name, route);
  const session = (async () => {
    await client.connect(transport);
    return outcome(callTool(client, { name: 'echo', arguments: { message: 'server' } }));
  })();
  const playing = playServer(desk, session.then(() => null));
  const { text } = await session;
  check('the server is the one that was made up', expect('name', 'by hand', client.getServerVersion().name));
  check('the client has the answer', expect('text', 'there is no server', text));
  check('the handshake was answered by the script', wasPlayed(await playing));
  await client.close();
};

export const nobodyThereForPython = generation => async ({ route, desk, check }) => {
  const { program, held, env } = python(generation);
  const plan = JSON.stringify({ mode: 'legacy', seconds: 30, steps: ['server'] });
  const session = run(program, [held, plan, 'http', route.url], { timeout: 60_000, env: { ...process.env, ...env } });
  const playing = playServer(desk, session.then(() => null));
  const { outcomes } = JSON.parse((await session).stdout);
  check('the client has the answer', expect('text', 'there is no server', outcomes.server?.text ?? JSON.stringify(outcomes)));
  check('the handshake was answered by the script', wasPlayed(await playing));
};

/** Calls whose name, or whose arguments that headers repeat, are edited. */
export const HEADERS_HELD = 'method:tools/call dir:c2s';

export async function headers({ route, desk, check }) {
  const { client, transport } = clientOf('client 2.x modern', route);
  await client.connect(transport);
  // Which arguments are repeated is what the list of tools says.
  await client.listTools();
  const edited = async (call, changes) => {
    const calling = outcome(callTool(client, call));
    const { id } = await desk.next();
    await desk.held('edit', `h${id}`, ...changes.flatMap(change => ['--set', change]));
    await desk.held('forward', `h${id}`);
    return calling;
  };
  const deployed = await edited(
    { name: 'deploy', arguments: { region: 'eu-1', count: 3 } },
    ['$.params.arguments.region=us-2', '$.params.arguments.count=7'],
  );
  // The server refuses a call whose headers say something else than its body.
  check('Mcp-Param-* follow', expect('what the server saw', 'us-2 header=us-2 count=7', deployed.text ?? JSON.stringify(deployed)));
  const renamed = await edited({ name: 'echo', arguments: { message: 'x' } }, ['$.params.name=add', '$.params.arguments={"a":2,"b":3}']);
  check('Mcp-Name follows', expect('sum', '5', renamed.text ?? JSON.stringify(renamed)));
  const both = await edited({ name: 'echo', arguments: { message: 'x' } }, ['$.params.name=deploy', '$.params.arguments={"region":" Zürich ","count":1}']);
  check('Mcp-Param-* come with the tool that has them', expect('what the server saw', ' Zürich  header==?base64?IFrDvHJpY2gg?= count=1', both.text ?? JSON.stringify(both)));
  await client.close();
}

export const PATIENCE_HELD = 'tool:echo dir:c2s';

/** A call waits longer than its client. */
export async function impatient({ route, desk, check }) {
  const { client, transport } = clientOf('sdk 1.x', route);
  await client.connect(transport);
  const { error } = await outcome(callTool(client, { name: 'echo', arguments: { message: 'too late' } }, { timeout: 1500 }));
  check('the client gives up with its own error', /timed out/i.test(error?.[0].message) ? [] : [JSON.stringify(error)]);
  const first = await desk.nextRow();
  const { ending, actor } = await desk.decided(first.id);
  check('the call leaves as cancelled', [...expect('ending', 'cancelled', ending), ...expect('actor', 'peer', actor)]);
  const calling = outcome(callTool(client, { name: 'echo', arguments: { message: 'in time' } }));
  const second = await desk.next();
  check('what the client bears is known now', second.budget_ms >= 1000 && second.budget_ms < 5000 ? [] : [`${second.budget_ms} ms`]);
  await desk.held('forward', `h${second.id}`);
  const { text } = await calling;
  check('the next call is a call like any other', expect('text', 'Echo: in time', text));
  await client.close();
}

/** Waits for the second notification of a call, and longer than `milliseconds` before it lets it go on. */
async function slowProgress(desk, milliseconds) {
  const row = await desk.next();
  await pause(milliseconds);
  await desk.held('forward', `h${row.id}`);
}

/** A socket that is given up after 12 s without a byte; comments come every 10 s. */
export async function idleSocket({ route, desk, check }) {
  const dispatcher = new Agent({ bodyTimeout: 12_000 });
  const { client, transport } = clientOf('client 2.x modern', { ...route, dispatcher });
  await client.connect(transport);
  const calling = outcome(callTool(client, { name: 'steps', arguments: { count: 5 } }, { onprogress: () => {} }));
  await slowProgress(desk, 15_000);
  const { text, error } = await within('result', calling);
  check('comments keep its socket', expect('text', '5 steps', text ?? JSON.stringify(error)));
  await client.close();
  await dispatcher.destroy();
}

/** 65 s are more than the library's own limit of 60. Two clients: one keeps that limit, one has more time. */
export async function longerThanUsual({ route, desk, check }) {
  const long = { name: 'trigger-long-running-operation', arguments: { duration: 0.3, steps: 5 } };
  const hasty = clientOf('sdk 1.x', route);
  const patient = clientOf('client 2.x legacy', route);
  await hasty.client.connect(hasty.transport);
  await patient.client.connect(patient.transport);
  const late = outcome(callTool(hasty.client, { name: 'echo', arguments: { message: 'held for 65 s' } }));
  const request = await desk.next();
  const inTime = outcome(callTool(patient.client, long, { timeout: 120_000, onprogress: () => {} }));
  await slowProgress(desk, 65_000);
  const { error } = await within('end of the late call', late);
  check('after 60 s the library gives up', /timed out/i.test(error?.[0].message) ? [] : [JSON.stringify(error)]);
  check('its call leaves as cancelled', expect('ending', 'cancelled', (await desk.decided(request.id)).ending));
  check('the stream of the other one was kept for 65 s', expect('text', 'Long running operation completed. Duration: 0.3 seconds, Steps: 5.', (await inTime).text));
  await hasty.client.close();
  await patient.client.close();
}
