// Every recording of the project in the place of its server, to each client library: a call of each tool gets the recorded
// result. One line for each recording and client.
//
//   node recordings.mjs [PART OF A RECORDING'S NAME]
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Agent } from 'undici';
import { CLIENTS, callTool } from './lib/clients.mjs';
import { killAll, start } from './lib/children.mjs';
import { Observer } from './lib/observe.mjs';
import { python } from './lib/python.mjs';
import { CALLS } from './lib/rust.mjs';
import { within } from './lib/time.mjs';

const PROGRAM = process.env.SHADOWCAT_BIN;
const FOLDER = fileURLToPath(new URL('../../recordings/', import.meta.url));
const LISTENING = /listening on http:\/\/(127\.0\.0\.1:\d+)/;
const SESSION_MILLISECONDS = 60_000;
const run = promisify(execFile);
const LIMIT = { timeout: SESSION_MILLISECONDS, maxBuffer: 64 * 1024 * 1024 };

/** Each takes `{ address }` and the calls, and resolves to what came of them; `end` says why it came to no session. */
const CLIENT_NAMES = {
  'TypeScript 1.x': library('sdk 1.x'),
  'TypeScript 1.x over HTTP+SSE': library('sdk 1.x (HTTP+SSE)'),
  'TypeScript 2.x': library('client 2.x auto'),
  'Python 1.x': pythonCalls(1, 'legacy'),
  'Python 2.x': pythonCalls(2, 'auto'),
  'rmcp': rustCalls('legacy'),
  'rmcp of 2026-07-28': rustCalls('auto'),
};
/** These fall back to a handshake, or begin with one. The last begins without and stays with that. */
const LEGACY = ['TypeScript 1.x', 'TypeScript 1.x over HTTP+SSE', 'TypeScript 2.x', 'Python 1.x', 'Python 2.x', 'rmcp'];
const MODERN = ['TypeScript 2.x', 'Python 2.x', 'rmcp of 2026-07-28'];

function library(name) {
  return async (address, calls) => {
    const dispatcher = new Agent();
    const route = { url: `http://${address}/mcp`, sse: `http://${address}/sse`, dispatcher, observer: new Observer() };
    const { client, transport } = CLIENTS[name](route);
    const outcomes = [];
    try {
      await client.connect(transport);
      for (const call of calls) {
        const told = await callTool(client, call).then(({ content }) => ({ content }), error => ({ error: error.message }));
        outcomes.push(told);
      }
      return { outcomes };
    } catch (error) {
      return { end: error.message, outcomes };
    } finally {
      await client.close().catch(() => {});
      await dispatcher.destroy();
    }
  };
}

function pythonCalls(generation, mode) {
  const { program, calls: script, env } = python(generation);
  return byProgram(program, (address, calls) => [script, `http://${address}/mcp`, mode, JSON.stringify(calls)], env);
}

function rustCalls(mode) {
  return byProgram(CALLS, (address, calls) => [`http://${address}/mcp`, mode, JSON.stringify(calls)], {});
}

function byProgram(program, args, env) {
  return async (address, calls) => {
    const { stdout } = await run(program, args(address, calls), { ...LIMIT, env: { ...process.env, ...env } });
    return JSON.parse(stdout);
  };
}

/** The calls of tools that were answered for good, each once, and which eras the recording has. */
async function read(file) {
  const { stdout } = await run(PROGRAM, ['export', file, '--to', 'jsonl'], LIMIT);
  const lines = stdout.split('\n').filter(Boolean).map(line => JSON.parse(line)).map(line => ({ ...line, message: parsed(line.message) }));
  const open = new Map();
  const calls = new Map();
  const eras = new Set();
  for (const { session, message } of lines.filter(({ message }) => message)) {
    const key = JSON.stringify([session, message.id]);
    if (message.method === 'initialize') eras.add('legacy');
    if (message.params?._meta?.['io.modelcontextprotocol/protocolVersion'] >= '2026-07-28') eras.add('modern');
    if (message.method === 'tools/call' && !message.params.inputResponses) open.set(key, message.params);
    const params = open.get(key);
    if (message.method || !params || !('result' in message || 'error' in message)) continue;
    open.delete(key);
    const { name, arguments: given = {} } = params;
    const known = JSON.stringify([name, given]);
    if (message.result?.resultType !== 'input_required' && !calls.has(known)) calls.set(known, { name, arguments: given, ...message });
  }
  return { calls: [...calls.values()], eras };
}

const parsed = message => (typeof message === 'string' ? JSON.parse(message) : message);

/** What is wrong with what came of the calls. */
function problems(calls, { end, outcomes }, lines) {
  if (end !== undefined) return [`no session: ${end}`];
  const wrong = calls.flatMap(({ name, result, error }, at) => {
    const told = outcomes[at] ?? {};
    const isRight = result ? JSON.stringify(told.content) === JSON.stringify(result.content) : told.error?.includes(error.message);
    return isRight ? [] : [`${name}: ${JSON.stringify(told)} in place of ${JSON.stringify(result?.content ?? error)}`];
  });
  const missed = lines.map(line => JSON.parse(line)).filter(({ found }) => found === 'missed');
  return [...wrong, ...missed.map(({ method, note }) => `${method} was not in the recording: ${note}`)];
}

/** A client that finds no session where none can be: the recorded server did not run, or speaks another revision. */
function refusal({ end, outcomes }) {
  return end !== undefined && outcomes.length === 0 ? [] : ['it has a session, which the recording cannot give'];
}

async function check(file, name, { calls, eras }) {
  const child = await start('the recording', PROGRAM, ['replay', file, '--listen', '127.0.0.1:0', '--headless', '--format', 'json'], { ready: LISTENING });
  const isPossible = calls.length > 0 && [['legacy', LEGACY], ['modern', MODERN]].some(([era, clients]) => eras.has(era) && clients.includes(name));
  try {
    const asked = calls.map(({ name: tool, arguments: given }) => ({ name: tool, arguments: given }));
    const seen = await within('session', CLIENT_NAMES[name](child.match[1], asked), SESSION_MILLISECONDS);
    await child.stop();
    return isPossible
      ? { found: problems(calls, seen, child.lines), told: `${calls.length} calls` }
      : { found: refusal(seen), told: `no session: ${seen.end?.split('\n')[0].slice(0, 80)}` };
  } catch (error) {
    await child.stop();
    return { found: [error.stack] };
  }
}

const part = process.argv[2] ?? '';
const files = readdirSync(FOLDER).filter(name => name.endsWith('.jsonl') && !name.startsWith('session-') && name.includes(part));
const waiting = [];
for (const name of files) {
  const recorded = await read(FOLDER + name);
  for (const client of Object.keys(CLIENT_NAMES)) waiting.push([FOLDER + name, client, recorded]);
}
let failed = 0;
const worker = async () => {
  for (let next = waiting.shift(); next; next = waiting.shift()) {
    const { found, told } = await check(...next);
    failed += found.length > 0 ? 1 : 0;
    console.log(`${found.length === 0 ? 'ok    ' : 'FAILED'} recordings/${basename(next[0])} · ${next[1]}${told ? ` · ${told}` : ''}`);
    for (const problem of found) console.log(`         ${problem}`);
  }
};
const total = waiting.length;
await Promise.all(Array.from({ length: Math.min(availableParallelism(), 4) }, worker));
killAll();
console.log(`${total - failed} of ${total} as recorded`);
process.exit(failed === 0 && total > 0 ? 0 : 1);
