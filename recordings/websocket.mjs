// A server and a client that speak MCP over a WebSocket, both as small as can be: Node 20 has neither, and the packages of the SDK
// have no server for it. Messages are short; those of the client are whole, those of the server may come in two frames with a
// ping between them, as RFC 6455, section 5.4, allows.
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { createRequire } from 'node:module';

// The packages are in the folder of the interop tests.
const require = createRequire(new URL('../.ci/interop.d/package.json', import.meta.url));
const { Client } = require('@modelcontextprotocol/sdk/client/index.js');
const { WebSocketClientTransport } = require('@modelcontextprotocol/sdk/client/websocket.js');
const { CreateMessageRequestSchema } = require('@modelcontextprotocol/sdk/types.js');
const { WebSocket } = require('undici');

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const accepted = key => createHash('sha1').update(key + GUID).digest('base64');

/** A frame; `opcode` has the bit that says whether it is the last of its message. */
function frame(opcode, payload, mask) {
  const length = payload.length < 126 ? [payload.length] : [126, payload.length >> 8, payload.length & 255];
  length[0] |= mask ? 0x80 : 0;
  const body = mask ? payload.map((byte, at) => byte ^ mask[at % 4]) : payload;
  return Buffer.concat([Buffer.from([opcode, ...length]), mask ?? Buffer.alloc(0), body]);
}

const LAST = 0x80;
const [CONTINUATION, TEXT, CLOSE, PING, PONG] = [0, 1, 8, 9, 10];

/** Speaks frames on a socket: `say(message)`, `sayInParts(message)`, `hear()`, `close()`. */
class Peer {
  #socket;
  #isClient;
  #rest;
  constructor(socket, head, isClient) {
    [this.#socket, this.#rest, this.#isClient] = [socket, head, isClient];
  }
  #send(opcode, payload) {
    this.#socket.write(frame(opcode, payload, this.#isClient ? randomBytes(4) : undefined));
  }
  say(message) {
    this.#send(LAST | TEXT, Buffer.from(JSON.stringify(message)));
  }
  sayInParts(message) {
    const bytes = Buffer.from(JSON.stringify(message));
    this.#send(TEXT, bytes.subarray(0, 20));
    this.#send(LAST | PING, Buffer.from('still there?'));
    this.#send(LAST | CONTINUATION, bytes.subarray(20));
  }
  close() {
    this.#send(LAST | CLOSE, Buffer.from([0x03, 0xe8]));
    this.#socket.end();
  }
  async #read(bytes) {
    while (this.#rest.length < bytes) {
      const [chunk] = await once(this.#socket, 'data');
      this.#rest = Buffer.concat([this.#rest, chunk]);
    }
    const read = this.#rest.subarray(0, bytes);
    this.#rest = this.#rest.subarray(bytes);
    return read;
  }
  async #frame() {
    const [first, second] = await this.#read(2);
    const length = (second & 127) === 126 ? (await this.#read(2)).readUInt16BE() : second & 127;
    const mask = second & 128 ? await this.#read(4) : Buffer.alloc(4);
    const payload = Buffer.from((await this.#read(length)).map((byte, at) => byte ^ mask[at % 4]));
    return { opcode: first & 15, isLast: (first & LAST) !== 0, payload };
  }
  /** The next message; undefined once the other side closes. */
  async hear() {
    const parts = [];
    for (;;) {
      const { opcode, isLast, payload } = await this.#frame();
      if (opcode === CLOSE) return undefined;
      if (opcode === PING) this.#send(LAST | PONG, payload);
      if (opcode !== TEXT && opcode !== CONTINUATION) continue;
      parts.push(payload);
      if (isLast) return JSON.parse(Buffer.concat(parts).toString());
    }
  }
}

const ANSWERS = {
  initialize: () => ({ protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'over a socket', version: '1.0.0' } }),
  'tools/list': () => ({ tools: [{ name: 'echo', inputSchema: { type: 'object', properties: { text: { type: 'string' } } } }, { name: 'consult', inputSchema: { type: 'object' } }] }),
  'tools/call': ({ arguments: { text } }) => ({ content: [{ type: 'text', text }] }),
  ping: () => ({}),
};

/** Asks the client's model, and answers the call with what that says. */
async function consult(peer, id) {
  peer.say({ jsonrpc: '2.0', id: 'ask-1', method: 'sampling/createMessage', params: { messages: [{ role: 'user', content: { type: 'text', text: 'Say hello' } }], maxTokens: 10 } });
  const { result } = await peer.hear();
  peer.say({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'the model has answered' } });
  peer.sayInParts({ jsonrpc: '2.0', id, result: { content: [result.content] } });
}

async function serve(peer) {
  for (let message; (message = await peer.hear()) !== undefined;) {
    if (message.id === undefined) continue;
    const token = message.params?._meta?.progressToken;
    if (token !== undefined) peer.say({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: token, progress: 1, total: 1 } });
    if (message.params?.name === 'consult') {
      await consult(peer, message.id);
      continue;
    }
    const answer = ANSWERS[message.method];
    peer.say({ jsonrpc: '2.0', id: message.id, ...(answer ? { result: answer(message.params) } : { error: { code: -32601, message: 'unknown method' } }) });
  }
  peer.close();
}

/** Starts the server; the result has its `authority`, its `path` and `stop()`. */
export async function startSocketServer() {
  const server = createServer();
  server.on('upgrade', ({ headers }, socket, head) => {
    socket.on('error', () => {});
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accepted(headers['sec-websocket-key'])}\r\nSec-WebSocket-Protocol: mcp\r\n\r\n`);
    serve(new Peer(socket, head, false)).catch(() => socket.destroy());
  });
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  return { authority: `127.0.0.1:${server.address().port}`, path: '/mcp', stop: () => server.close() };
}

/** What the client says through `route`. */
export async function socketSession(route) {
  const headers = { Host: route.host, Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Key': randomBytes(16).toString('base64'), 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Protocol': 'mcp' };
  const outgoing = request({ ...route.options('/mcp'), headers }).end();
  const [, socket, head] = await once(outgoing, 'upgrade');
  const peer = new Peer(socket, head, true);
  const ask = async message => {
    peer.say({ jsonrpc: '2.0', ...message });
    for (let answer; (answer = await peer.hear()) !== undefined;) if (answer.id === message.id) return;
  };
  await ask({ id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'socket client', version: '1.0.0' } } });
  peer.say({ jsonrpc: '2.0', method: 'notifications/initialized' });
  await ask({ id: 1, method: 'tools/list' });
  await ask({ id: 2, method: 'tools/call', params: { name: 'echo', arguments: { text: 'hello ☃' }, _meta: { progressToken: 0 } } });
  await ask({ id: 'three', method: 'no/such-method' });
  peer.close();
  await once(socket, 'close');
}

/** A session of the SDK's own client, whose transport takes the WebSocket that is there. */
export async function sdkSocketSession(route) {
  globalThis.WebSocket = WebSocket;
  const client = new Client({ name: 'interop', version: '1.0.0' }, { capabilities: { sampling: {} } });
  client.setRequestHandler(CreateMessageRequestSchema, () => ({ model: 'stub', role: 'assistant', content: { type: 'text', text: 'Hello from the stub ☃' } }));
  const transport = new WebSocketClientTransport(new URL(`ws://${route.host}/mcp`));
  await client.connect(transport);
  await client.ping();
  await client.callTool({ name: 'consult', arguments: {} });
  await client.callTool({ name: 'echo', arguments: { text: 'hello ☃' } }, undefined, { onprogress: () => {} });
  const closed = new Promise(resolve => { client.onclose = resolve; });
  await client.close();
  await closed;
}
