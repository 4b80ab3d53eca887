// Archives that other programs make of real sessions: `import` makes recordings of them, which say what our own recording
// of the same session says.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { inflateSync } from 'node:zlib';
import { CLIENTS, callTool } from '../interop.d/lib/clients.mjs';
import { start } from '../interop.d/lib/children.mjs';
import { Observer } from '../interop.d/lib/observe.mjs';
import { proxied, replayed } from '../interop.d/lib/routes.mjs';
import { startServer } from '../interop.d/lib/servers.mjs';
import { within } from '../interop.d/lib/time.mjs';
import { sdkSocketSession, startSocketServer } from '../../recordings/websocket.mjs';
import { check } from './lib/checks.mjs';
import { exported, imported, newFile, shadowcat } from './lib/program.mjs';

const STREAMS = fileURLToPath(new URL('streams.py', import.meta.url));
const LISTENING = /(?:listening|proxy).* at [a-z:/]*(127\.0\.0\.1:\d+)/;

/** mitmdump between the client and us, which writes an archive when it ends. By itself it holds streams back until they end. */
async function mitmdump(authority, har, isStreaming) {
  const options = { mode: `reverse:http://${authority}`, listen_host: '127.0.0.1', listen_port: 0, hardump: har };
  const args = Object.entries(options).flatMap(([name, value]) => ['--set', `${name}=${value}`]);
  if (isStreaming) args.push('--scripts', STREAMS);
  // Its log is on its standard output.
  return start('mitmdump', 'sh', ['-c', 'exec "$0" "$@" >&2', process.env.MITMDUMP, '--set', 'termlog_verbosity=info', ...args], { ready: LISTENING });
}

async function session(client, transport) {
  await client.connect(transport);
  const { tools } = await client.listTools();
  const answers = [
    await callTool(client, { name: 'echo', arguments: { message: 'hello ☃' } }),
    await callTool(client, { name: 'get-sum', arguments: { a: 2, b: 3 } }),
    await callTool(client, { name: 'trigger-long-running-operation', arguments: { duration: 0.3, steps: 3 } }, { onprogress: () => {} }),
    await callTool(client, { name: 'no-such-tool', arguments: {} }),
  ];
  return { tools: tools.map(({ name }) => name), answers };
}

async function bye(client, transport) {
  await transport.terminateSession?.();
  await client.close();
}

/** The messages of a recording, as JSON, without what another place of observation changes: their times. */
async function messages(recording) {
  const lines = (await shadowcat('export', recording, '--to', 'jsonl')).trim().split('\n').map(line => JSON.parse(line));
  const told = ({ direction, message }) => `${direction} ${JSON.stringify(message)}`;
  return lines.filter(({ message }) => message).map(told).toSorted();
}

/** What can be done with a recording can be done with an imported one, and it says what `ours` says. */
async function isAsGood(recording, ours, server, seen, generation) {
  await shadowcat('verify', recording);
  const shown = await shadowcat('show', recording);
  assert.match(shown, /tools\/call echo ✓/);
  assert.deepEqual(await messages(recording), await messages(ours), 'messages');
  await shadowcat('diff', ours, recording);
  const route = { ...await replayed(recording, server), observer: new Observer() };
  try {
    const { client, transport } = CLIENTS[generation](route);
    assert.deepEqual(await within('the replayed session', session(client, transport), 60_000), seen, 'what a client of the replay sees');
    await client.close();
  } finally {
    await route.close();
  }
}

async function throughMitmproxy(server, generation, name, isStreaming) {
  const har = newFile(name);
  const route = { ...await proxied('reverse', server), observer: new Observer() };
  const dump = await mitmdump(route.host, har, isStreaming);
  const outer = { ...route, url: `http://${dump.match[1]}${server.path}` };
  const { client, transport } = CLIENTS[generation](outer);
  const seen = await session(client, transport);
  await bye(client, transport);
  await dump.stop();
  await route.close();
  return { har, ours: route.recording, remove: route.remove, seen };
}

/** A session over a WebSocket, as mitmproxy saves it and as we have recorded it. */
async function socketThroughMitmproxy() {
  const server = await startSocketServer();
  const route = await proxied('reverse', server);
  const har = newFile('socket.har');
  const dump = await mitmdump(route.host, har);
  await sdkSocketSession({ ...route, host: dump.match[1] });
  await dump.stop();
  await route.close();
  await server.stop();
  return { har, ours: route.recording, remove: route.remove };
}

/** A page for the browser to stand on, since a page about nothing may not fetch. */
async function startPage() {
  const server = createServer((_, response) => response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>client</title>'));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { url: `http://127.0.0.1:${server.address().port}`, stop: () => { server.closeAllConnections(); server.close(); } };
}

/** In the page: a session with the server at `url`, answer by answer, and one request that is broken off. */
async function inThePage(url) {
  let id = 0;
  const fields = { 'Content-Type': 'application/json', 'Accept': 'application/json, text/event-stream' };
  const post = async message => {
    const response = await fetch(url, { method: 'POST', headers: fields, body: JSON.stringify({ jsonrpc: '2.0', ...message }) });
    return { response, text: await response.text() };
  };
  const call = (method, params) => post({ id: id += 1, method, params });
  const first = await call('initialize', { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'page', version: '1' } });
  fields['Mcp-Session-Id'] = first.response.headers.get('mcp-session-id');
  fields['MCP-Protocol-Version'] = '2025-06-18';
  await post({ method: 'notifications/initialized' });
  await call('tools/list', {});
  await call('tools/call', { name: 'echo', arguments: { message: 'hello ☃' } });
  await call('tools/call', { name: 'trigger-long-running-operation', arguments: { duration: 0.3, steps: 3 }, _meta: { progressToken: 7 } });
  await call('tools/call', { name: 'no-such-tool', arguments: {} });
  await fetch('http://127.0.0.1:9/none').catch(() => {});
  return Boolean(fields['Mcp-Session-Id']);
}

/** In the page: a session of the older transport, whose stream is an `EventSource`. */
async function withEventSource(url) {
  const stream = new EventSource(url);
  const endpoint = await new Promise(resolve => stream.addEventListener('endpoint', ({ data }) => resolve(new URL(data, url)), { once: true }));
  const answers = new Map();
  stream.addEventListener('message', ({ data }) => {
    const { id } = JSON.parse(data);
    answers.get(id)?.();
  });
  const call = async (id, method, params) => {
    const answered = new Promise(resolve => answers.set(id, resolve));
    await fetch(endpoint, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ jsonrpc: '2.0', id, method, params }) }).then(response => response.text());
    await answered;
  };
  await call(1, 'initialize', { protocolVersion: '2024-11-05', capabilities: {}, clientInfo: { name: 'page', version: '1' } });
  await call(2, 'tools/call', { name: 'echo', arguments: { message: 'hello ☃' } });
  await call(3, 'tools/call', { name: 'trigger-long-running-operation', arguments: { duration: 0.3, steps: 3 }, _meta: { progressToken: 7 } });
  return true;
}

/** A session of a page, as the tools of its browser save it, and as we have recorded it. */
async function throughBrowser(tools, server, name, session) {
  const page = await startPage();
  const route = await proxied('reverse', server, ['--allow-origin', page.url]);
  assert.ok(await tools.visit(page.url, session, route.url), 'the page may read the session id');
  const har = newFile(`${name}.har`);
  await writeFile(har, await tools.saveHar());
  await route.close();
  page.stop();
  return { har, ours: route.recording, remove: route.remove };
}

async function isSavedWhole(tools, server, name, session = inThePage) {
  const { har, ours, remove } = await throughBrowser(tools, server, name, session);
  const { path, said } = await imported(har);
  await shadowcat('verify', path);
  assert.doesNotMatch(said, /left out/);
  assert.match(await shadowcat('show', path), /tools\/call echo ✓/);
  assert.deepEqual(await messages(path), await messages(ours));
  // A browser asks for more than the session: the page itself, and whether it may ask.
  await remove();
}

export async function checkImports(chromium, firefox) {
  console.log('\n== archives of other programs');
  const everything = await startServer('everything');
  const older = await startServer('everything (HTTP+SSE)');
  await check('mitmproxy, Streamable HTTP', async () => {
    const { har, ours, remove, seen } = await throughMitmproxy(everything, 'sdk 1.x', 'session.har', true);
    const { path, said } = await imported(har);
    assert.doesNotMatch(said, /left out/);
    await isAsGood(path, ours, everything, seen, 'sdk 1.x');
    await remove();
  });
  await check('mitmproxy as it comes, compressed', async () => {
    const { har, ours, remove } = await throughMitmproxy(everything, 'sdk 1.x', 'session.zhar', false);
    inflateSync(await readFile(har));
    const { path } = await imported(har);
    await shadowcat('verify', path);
    // The client's own stream is held back until the session is over, and then the client may ask for it once more.
    await shadowcat('diff', ours, path);
    await remove();
  });
  await check('mitmproxy, HTTP+SSE', async () => {
    const { har, ours, remove, seen } = await throughMitmproxy(older, 'sdk 1.x (HTTP+SSE)', 'session.har', true);
    const { path } = await imported(har);
    await isAsGood(path, ours, older, seen, 'sdk 1.x (HTTP+SSE)');
    await remove();
  });
  await check('mitmproxy, WebSocket', async () => {
    const { har, ours, remove } = await socketThroughMitmproxy();
    const { path } = await imported(har);
    await shadowcat('verify', path);
    assert.deepEqual(await messages(path), await messages(ours));
    await shadowcat('diff', ours, path);
    await remove();
  });
  const tools = await chromium.openTools();
  await check(`${chromium.version}, saved from its Network panel`, () => isSavedWhole(tools, everything, 'chromium'));
  await tools.close();
  const others = await chromium.openTools();
  await check(`${chromium.version}, with an EventSource`, () => isSavedWhole(others, older, 'event-source', withEventSource));
  await others.close();
  if (firefox) {
    await check(`${firefox.version}, saved from its Network panel`, () => isSavedWhole(firefox, everything, 'firefox'));
    await check(`${firefox.version}, with an EventSource`, () => isSavedWhole(firefox, older, 'event-source', withEventSource));
  }
  await check('a compressed archive of our own', async () => {
    const archive = `${await exported(new URL('../../recordings/legacy-http.jsonl', import.meta.url).pathname, 'har')}.zst`;
    await shadowcat('export', new URL('../../recordings/legacy-http.jsonl', import.meta.url).pathname, '--to', 'har', '-o', archive);
    assert.ok((await stat(archive)).size > 0);
    await imported(archive);
  });
  await everything.stop();
  await older.stop();
}
