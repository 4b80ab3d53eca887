// The two generations of the client library behind one face, so that one script drives both.
import * as first from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport as FirstSse } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport as FirstStdio } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport as FirstHttp } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import * as schemas from '@modelcontextprotocol/sdk/types.js';
import * as second from '@modelcontextprotocol/client';
import { StdioClientTransport as SecondStdio } from '@modelcontextprotocol/client/stdio';
import { fetch } from 'undici';
import { z } from 'zod';

/** What speaks HTTP+SSE, which may have an address of its own. */
const OLDER = [FirstSse, second.SSEClientTransport];
const CAPABILITIES = { sampling: {}, elicitation: { form: {}, url: {} }, roots: { listChanged: true } };
const INFO = { name: 'interop', version: '1.0.0' };
/** Sent with every request; must reach the server and must not reach the disk. */
export const SECRET = `interop-secret-${process.pid}-${Math.random().toString(36).slice(2)}`;

/**
 * The libraries take a stream that ends with an error answer for one that broke, and a second later ask for the rest of it:
 * whether that happens within a session is chance. Streams that are taken up again are a session of their own.
 */
const NEVER_AGAIN = { initialReconnectionDelay: 1000, maxReconnectionDelay: 1000, reconnectionDelayGrowFactor: 1, maxRetries: 0 };

const REQUESTS = {
  'sampling/createMessage': schemas.CreateMessageRequestSchema,
  'elicitation/create': schemas.ElicitRequestSchema,
  'roots/list': schemas.ListRootsRequestSchema,
};

/** Each makes `{ client, transport }` for a route, with every request of the server noted and answered the same way. */
export const CLIENTS = {
  'sdk 1.x': route => build(route, {
    client: new first.Client(INFO, { capabilities: CAPABILITIES }),
    Transport: FirstHttp,
    Stdio: FirstStdio,
    answer: (client, method, handler) => client.setRequestHandler(REQUESTS[method], handler),
  }),
  'sdk 1.x (HTTP+SSE)': route => build(route, {
    client: new first.Client(INFO, { capabilities: CAPABILITIES }),
    Transport: FirstSse,
    Stdio: FirstStdio,
    answer: (client, method, handler) => client.setRequestHandler(REQUESTS[method], handler),
  }),
  'client 2.x legacy': route => secondClient(route, 'legacy'),
  'client 2.x auto': route => secondClient(route, 'auto'),
  'client 2.x modern': route => secondClient(route, { pin: '2026-07-28' }),
  'client 2.x (HTTP+SSE)': route => secondClient(route, 'legacy', second.SSEClientTransport),
};

function secondClient(route, mode, Transport = second.StreamableHTTPClientTransport) {
  return build(route, {
    client: new second.Client(INFO, { capabilities: CAPABILITIES, versionNegotiation: { mode } }),
    Transport,
    Stdio: SecondStdio,
    answer: (client, method, handler) => client.setRequestHandler(method, handler),
  });
}

function build(route, { client, Transport, Stdio, answer }) {
  const { observer } = route;
  const transport = route.command ? overPipes(route, Stdio) : overHttp(route, Transport);
  for (const [method, handler] of Object.entries(answers())) {
    answer(client, method, request => {
      observer.note(method, request.params);
      return handler(request);
    });
  }
  client.fallbackNotificationHandler = async ({ method, params }) => observer.note(method, params);
  return { client, transport };
}

function overHttp({ url, sse = url, dispatcher, observer }, Transport) {
  const watched = observer.watch((input, init) => fetch(input, { ...init, dispatcher }));
  const requestInit = { headers: { Authorization: `Bearer ${SECRET}` } };
  return new Transport(new URL(OLDER.includes(Transport) ? sse : url), { fetch: watched, requestInit, reconnectionOptions: NEVER_AGAIN });
}

function overPipes({ command: [command, ...args], cwd, env = process.env, observer }, Stdio) {
  const transport = new Stdio({ command, args, env, cwd, stderr: 'ignore' });
  const send = transport.send.bind(transport);
  transport.send = (message, options) => {
    observer.sent(message);
    return send(message, options);
  };
  // The first generation tells a transport what was agreed, if it wants to know.
  transport.setProtocolVersion ??= version => { transport.protocolVersion = version; };
  return transport;
}

function answers() {
  const actions = ['accept', 'decline', 'cancel'];
  let asked = 0;
  return {
    'sampling/createMessage': () => ({ model: 'stub', role: 'assistant', stopReason: 'endTurn', content: { type: 'text', text: 'Hello from the stub ☃' } }),
    'roots/list': () => ({ roots: [{ uri: 'file:///tmp/one', name: 'One' }, { uri: 'file:///tmp/two' }] }),
    'elicitation/create': ({ params }) => {
      if (params.mode === 'url') return { action: 'accept' };
      const action = actions[asked++ % actions.length];
      return action === 'accept' ? { action, content: { name: 'Ada', check: true, integer: 7 } } : { action };
    },
  };
}

/** What both generations say about a finished handshake. */
export function handshake({ client, transport }) {
  return {
    version: client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion ?? transport._protocolVersion,
    era: client.getProtocolEra?.(),
    server: client.getServerVersion(),
    capabilities: client.getServerCapabilities(),
    instructions: client.getInstructions(),
  };
}

/** Calls a tool: the generations take their options in different places. */
export const callTool = (client, call, options) => (client instanceof second.Client ? client.callTool(call, options) : client.callTool(call, undefined, options));

/** Sends a method that no library knows. */
export const unknownMethod = client => client.request({ method: 'interop/unknown', params: { a: 1 } }, z.any());
