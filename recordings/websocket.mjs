// A server and a client that speak MCP over a WebSocket, both as small as can be: Node 20 has neither, and the packages of the SDK
// have no server for it. Messages are short and whole, as the frames of RFC 6455, section 5.2, allow.
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request } from 'node:http';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const accepted = key => createHash('sha1').update(key + GUID).digest('base64');

function frame(opcode, payload, mask) {
  const length = payload.length < 126 ? [payload.length] : [126, payload.length >> 8, payload.length & 255];
  length[0] |= mask ? 0x80 : 0;
  const body = mask ? payload.map((byte, at) => byte ^ mask[at % 4]) : payload;
  return Buffer.concat([Buffer.from([0x80 | opcode, ...length]), mask ?? Buffer.alloc(0), body]);
}

/** Speaks frames on a socket: `say(message)`, `hear()`, `close()`. */
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
    this.#send(1, Buffer.from(JSON.stringify(message)));
  }
  close() {
    this.#send(8, Buffer.from([0x03, 0xe8]));
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
  /** The next message; undefined once the other side closes. */
  async hear() {
    const [first, second] = await this.#read(2);
    const length = (second & 127) === 126 ? (await this.#read(2)).readUInt16BE() : second & 127;
    const mask = second & 128 ? await this.#read(4) : Buffer.alloc(4);
    const payload = (await this.#read(length)).map((byte, at) => byte ^ mask[at % 4]);
    return (first & 15) === 1 ? JSON.parse(Buffer.from(payload).toString()) : undefined;
  }
}

const ANSWERS = {
  initialize: () => ({ protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'over a socket', version: '1.0.0' } }),
  'tools/list': () => ({ tools: [{ name: 'echo', inputSchema: { type: 'object', properties: { text: { type: 'string' } } } }] }),
  'tools/call': ({ arguments: { text } }) => ({ content: [{ type: 'text', text }] }),
};

async function serve(peer) {
  for (let message; (message = await peer.hear()) !== undefined;) {
    if (message.id === undefined) continue;
    const token = message.params?._meta?.progressToken;
    if (token !== undefined) peer.say({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: token, progress: 1, total: 1 } });
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
