// A server that is odd on purpose: it says what it received, byte for byte, and answers in every way that HTTP allows.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { gzipSync } from 'node:zlib';
import { framing, pairs } from '../lib/raw.mjs';

const LARGE = 8 * 1024 * 1024;
const ODD_EVENTS = Buffer.concat([
  Buffer.from('\ufeff: a comment\nid: 1\r\nretry: 50\rdata:\n\n'),
  Buffer.from('event: message\ndata: {"jsonrpc":"2.0",\ndata:  "method":"notifications/odd","params":{"n":1.0,"n":1e3}}\n\n'),
  Buffer.from('unknown: field\nDATA: not data\nno colon\ndata: \u2028 and '),
  Buffer.from([0xff, 0xfe, 0x00]),
  Buffer.from('\n\n:\n\ndata: an unfinished event'),
]);

/** Starts the server; the result has its `authority`, its `path` and `stop()`. */
export async function startWireServer() {
  const state = { authority: '', gone: 0, noteGone: () => {}, next: () => {} };
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    const { pathname } = new URL(request.url, 'http://any');
    const name = Object.keys(ROUTES).find(prefix => pathname === prefix || pathname.startsWith(`${prefix}/`));
    response.sendDate = false;
    response.on('error', () => {});
    (ROUTES[name] ?? echo)(request, response, state);
  });
  server.on('upgrade', (request, socket) => {
    socket.on('error', () => {});
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: mcp\r\n\r\nhello');
    socket.pipe(socket);
  });
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  state.authority = `127.0.0.1:${server.address().port}`;
  const stop = () => { server.closeAllConnections(); server.close(); };
  return { authority: state.authority, path: '/mcp', stop };
}

const ROUTES = {
  '/headers': (_request, response) => answer(response, 200, ODD_HEADERS, 'body'),
  '/status': (request, response) => {
    const status = Number(request.url.split('/')[2]);
    response.writeHead(status, 'As The Server Says', [204, 304].includes(status) ? [] : ['Content-Type', 'application/json', 'Allow', 'POST']);
    response.end([204, 304].includes(status) ? undefined : `{"jsonrpc":"2.0","error":{"code":-32000,"message":"status ${status}"},"id":null}`);
  },
  '/empty-length': (_request, response) => answer(response, 202, ['Content-Length', '0']),
  '/empty-chunked': (_request, response) => answer(response, 200, ['Transfer-Encoding', 'chunked']),
  '/gzip': (_request, response) => answer(response, 200, ['Content-Type', 'application/json', 'Content-Encoding', 'gzip'], gzipSync('{"jsonrpc":"2.0","id":1,"result":{}}')),
  '/odd-events': (_request, response) => answer(response, 200, ['Content-Type', 'Text/Event-Stream; charset=utf-8', 'Transfer-Encoding', 'chunked'], ODD_EVENTS),
  '/redirect': (_request, response, { authority }) => answer(response, 307, ['Location', `http://${authority}/echo?from=redirect`]),
  '/redirect-away': (_request, response) => answer(response, 307, ['Location', 'http://elsewhere.invalid:81/echo']),
  '/trailers': (_request, response) => {
    response.writeHead(200, ['Trailer', 'X-Sum', 'Transfer-Encoding', 'chunked']);
    response.write('body');
    response.addTrailers([['X-Sum', '42']]);
    response.end();
  },
  '/large': (_request, response) => answer(response, 200, ['Content-Length', String(LARGE)], Buffer.alloc(LARGE, 'shadowcat ')),
  '/broken-chunked': (_request, response) => breakOff(response, ['Transfer-Encoding', 'chunked']),
  '/broken-length': (_request, response) => breakOff(response, ['Content-Length', '100']),
  '/steps': (_request, response, state) => {
    response.writeHead(200, ['Content-Type', 'text/event-stream']);
    response.write('data: one\n\n');
    state.next = () => response.write('data: two', () => { state.next = () => response.end('\n\ndata: three\n\n'); });
  },
  '/next': (_request, response, state) => {
    state.next();
    answer(response, 204, []);
  },
  '/silent': (_request, response, state) => noteGone(response, state),
  '/silent-stream': (_request, response, state) => {
    response.writeHead(200, ['Content-Type', 'text/event-stream']);
    response.write(': open\n\n');
    noteGone(response, state);
  },
  '/gone': async (_request, response, state) => {
    if (state.gone === 0) await new Promise(resolve => { state.noteGone = resolve; });
    state.gone -= 1;
    answer(response, 200, [], 'one client was gone');
  },
};

const ODD_HEADERS = [
  'content-TYPE', 'application/json ; Charset="UTF-8"', 'Set-Cookie', 'a=1; Path=/', 'X-First', '1', 'Set-Cookie', 'b=2',
  'WWW-Authenticate', 'Bearer realm="x", error="insufficient_scope"', 'WWW-Authenticate', 'DPoP algs="ES256"',
  'X-Empty', '', 'X-List', 'a, b ,c', 'Mcp-Session-Id', 'visible!~ascii', 'Cache-Control', 'no-transform', 'Via', '1.1 other',
];

function answer(response, status, headers, body) {
  response.writeHead(status, headers);
  response.end(body);
}

function breakOff(response, headers) {
  response.writeHead(200, headers);
  response.write('a part', () => response.socket.destroy());
}

function noteGone(response, state) {
  response.on('close', () => {
    state.gone += 1;
    state.noteGone();
  });
}

/** What arrived, as it arrived. */
function echo(request, response) {
  const hash = createHash('sha256');
  let length = 0;
  request.on('data', chunk => { hash.update(chunk); length += chunk.length; });
  request.on('end', () => {
    const { method: verb, url, httpVersion, rawHeaders, headers, rawTrailers } = request;
    const received = { verb, url, httpVersion, headers: pairs(rawHeaders), framing: framing(headers), trailers: pairs(rawTrailers), length, sha256: hash.digest('base64') };
    const body = JSON.stringify(received);
    answer(response, 200, ['Content-Type', 'application/json', 'X-Echo', 'yes'], body);
  });
}
