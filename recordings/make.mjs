// Makes the recordings of this folder anew: real clients, real servers, the proxy between them.
//
//   cargo build && npm --prefix .ci/interop.d ci --ignore-scripts
//   SHADOWCAT_BIN=target/debug/shadowcat-tui node recordings/make.mjs [NAME...]
import { copyFile, chmod } from 'node:fs/promises';
import { request } from 'node:http';
import { fileURLToPath } from 'node:url';
import { CLIENTS, callTool, unknownMethod } from '../.ci/interop.d/lib/clients.mjs';
import { COMMANDS, bridged, wrapped } from '../.ci/interop.d/lib/bridge.mjs';
import { Observer } from '../.ci/interop.d/lib/observe.mjs';
import { intercepted } from '../.ci/interop.d/lib/https.mjs';
import { proxied } from '../.ci/interop.d/lib/routes.mjs';
import { startServer } from '../.ci/interop.d/lib/servers.mjs';
import { sdkSocketSession, socketSession, startSocketServer } from './websocket.mjs';

const only = process.argv.slice(2);

async function record(name, server, session, way = server => proxied('reverse', server)) {
  if (only.length > 0 && !only.includes(name)) return;
  const route = { ...await way(server), observer: new Observer() };
  await session(route);
  await route.close();
  const file = fileURLToPath(new URL(`${name}.jsonl`, import.meta.url));
  await copyFile(route.recording, file);
  await chmod(file, 0o644);
  await route.remove();
  console.log(file);
}

const quietly = promise => promise.catch(() => undefined);

async function legacy(route) {
  const { client, transport } = CLIENTS['sdk 1.x'](route);
  await client.connect(transport);
  await client.ping();
  await callTool(client, { name: 'echo', arguments: { message: 'hello ☃' } });
  await callTool(client, { name: 'get-sum', arguments: { a: 2, b: 3 } });
  await callTool(client, { name: 'trigger-long-running-operation', arguments: { duration: 0.5, steps: 3 } }, { onprogress: () => {} });
  await callTool(client, { name: 'trigger-sampling-request', arguments: { prompt: 'Say hello', maxTokens: 10 } });
  await callTool(client, { name: 'trigger-elicitation-request', arguments: {} });
  await transport.terminateSession();
  await client.close();
}

async function eventStream(route) {
  const { client, transport } = CLIENTS['sdk 1.x (HTTP+SSE)'](route);
  await client.connect(transport);
  await client.ping();
  await callTool(client, { name: 'echo', arguments: { message: 'hello ☃' } });
  await callTool(client, { name: 'trigger-long-running-operation', arguments: { duration: 0.2, steps: 2 } }, { onprogress: () => {} });
  await client.close();
}

async function modern(route) {
  const { client, transport } = CLIENTS['client 2.x modern'](route);
  await client.connect(transport);
  await client.listTools();
  await callTool(client, { name: 'add', arguments: { a: 0.1, b: 0.2 } });
  await callTool(client, { name: 'steps', arguments: { count: 3 } }, { onprogress: () => {} });
  await callTool(client, { name: 'ask', arguments: {} });
  const controller = new AbortController();
  await quietly(callTool(client, { name: 'slow', arguments: {} }, { signal: controller.signal, onprogress: () => controller.abort() }));
  await callTool(client, { name: 'await-cancelled', arguments: {} });
  await client.close();
}

async function errors(route) {
  const { client, transport } = CLIENTS['client 2.x modern'](route);
  await client.connect(transport);
  await callTool(client, { name: 'fail', arguments: {} });
  await quietly(callTool(client, { name: 'no-such-tool', arguments: {} }));
  await quietly(client.readResource({ uri: 'test://none' }));
  await quietly(unknownMethod(client));
  await get(route);
  await client.close();
}

/** A modern server has no GET stream. */
function get(route) {
  const target = new URL(route.url);
  return new Promise((resolve, reject) => {
    request(target, { headers: { Accept: 'text/event-stream' } }, response => response.resume().once('end', resolve)).once('error', reject).end();
  });
}

async function unreachable(route) {
  const { client, transport } = CLIENTS['client 2.x modern'](route);
  await quietly(client.connect(transport));
  await quietly(client.close());
}

async function overTls(route, generation, call) {
  const { client, transport } = CLIENTS[generation](route);
  await client.connect(transport);
  await client.listTools();
  await callTool(client, call, { onprogress: () => {} });
  await transport.terminateSession?.();
  await client.close();
}

const httpsLegacy = route => overTls(route, 'sdk 1.x', { name: 'echo', arguments: { message: 'hello ☃' } });
const httpsModern = route => overTls(route, 'client 2.x modern', { name: 'steps', arguments: { count: 2 } });

async function bridgedLegacy(route) {
  const { client, transport } = CLIENTS['sdk 1.x'](route);
  await client.connect(transport);
  await callTool(client, { name: 'echo', arguments: { message: 'hello ☃' } });
  await callTool(client, { name: 'trigger-long-running-operation', arguments: { duration: 0.5, steps: 2 } }, { onprogress: () => {} });
  await callTool(client, { name: 'trigger-sampling-request', arguments: { prompt: 'Say hello', maxTokens: 10 } });
  await transport.terminateSession();
  await client.close();
}

/** Two clients at the same time, whose ids meet in the program that they share. */
async function bridgedModern(route) {
  const clients = [1, 2].map(() => CLIENTS['client 2.x modern'](route));
  await Promise.all(clients.map(async ({ client, transport }) => {
    await client.connect(transport);
    await callTool(client, { name: 'steps', arguments: { count: 2 } }, { onprogress: () => {} });
    await callTool(client, { name: 'ask', arguments: {} });
    await client.close();
  }));
}

/** Over pipes there is no session to end but by leaving. */
async function overPipesLegacy(route) {
  const { client, transport } = CLIENTS['sdk 1.x'](route);
  await client.connect(transport);
  await callTool(client, { name: 'echo', arguments: { message: 'hello ☃' } });
  await callTool(client, { name: 'trigger-long-running-operation', arguments: { duration: 0.5, steps: 3 } }, { onprogress: () => {} });
  await callTool(client, { name: 'trigger-sampling-request', arguments: { prompt: 'Say hello', maxTokens: 10 } });
  await callTool(client, { name: 'trigger-elicitation-request', arguments: {} });
  await quietly(callTool(client, { name: 'no-such-tool', arguments: {} }));
  await client.close();
}

const upstream = ({ authority, path }) => wrapped(['--upstream', `http://${authority}${path}`]);

const everything = await startServer('everything');
await record('legacy-http', everything, legacy);
await record('outward-legacy', everything, overPipesLegacy, upstream);
await record('https-legacy', everything, httpsLegacy, intercepted);
await everything.stop();
const streamServer = await startServer('everything (HTTP+SSE)');
await record('http-sse', streamServer, eventStream);
await record('http-sse-named', streamServer, eventStream, server => proxied('named', server));
await streamServer.stop();
const modernServer = await startServer('modern');
await record('modern-http', modernServer, modern);
await record('outward-modern', modernServer, modern, upstream);
await record('errors', modernServer, errors);
await record('https-modern', modernServer, httpsModern, intercepted);
await modernServer.stop();
await record('unreachable', modernServer, unreachable);
await record('stdio-bridge-legacy', undefined, bridgedLegacy, () => bridged(COMMANDS.everything));
await record('stdio-bridge-modern', undefined, bridgedModern, () => bridged(COMMANDS.modern));
await record('wrap-legacy', undefined, overPipesLegacy, () => wrapped(['--', ...COMMANDS.everything]));
await record('wrap-modern', undefined, modern, () => wrapped(['--', ...COMMANDS.modern]));
const socketServer = await startSocketServer();
await record('websocket', socketServer, socketSession);
await record('websocket-sdk', socketServer, sdkSocketSession);
await socketServer.stop();
