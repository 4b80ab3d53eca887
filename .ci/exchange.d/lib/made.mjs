// Recordings of what the repository's have not: HTTP/2, compressed and binary bodies, messages that a rule has changed,
// clients that leave, streams that are open still, very many entries, and text that is out for mischief.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { connect } from 'node:http2';
import { gzipSync } from 'node:zlib';
import { proxied } from '../../interop.d/lib/routes.mjs';
import { ROOT, newFile, recordingOf } from './program.mjs';

const RULES = `
[[rule]]
name = "another text"
when = "method:tools/call tool:edited"
direction = "c2s"
replace = { set = { "$.params.arguments.text" = "after" } }

[[rule]]
name = "by the proxy"
when = "method:tools/call tool:answered"
direction = "c2s"
answer = { content = [] }

[[rule]]
name = "not today"
when = "method:tools/call tool:refused"
direction = "c2s"
refuse = { code = -32000, message = "not today" }
`;

const ANSWERS = {
  gzip: (response, text) => response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Encoding': 'gzip' }).end(gzipSync(text)),
  stream: (response, text) => response.writeHead(200, { 'Content-Type': 'text/event-stream' }).end(`: hello\n\nid: 1\nretry: 500\ndata: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}\n\nevent: message\nid: 2\ndata: ${text}\n\n`),
  slow: response => { response.writeHead(200, { 'Content-Type': 'text/event-stream' }).write('data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}\n\n'); },
  error: (response, _, id) => response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32602, message: 'no such tool' } })),
  broken: response => { response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': '500' }); response.write('{"jsonrpc":'); setTimeout(() => response.destroy(), 50); },
};

function answered(incoming, response, body) {
  if (incoming.method === 'GET' && incoming.url === '/icon.png') return response.writeHead(200, { 'Content-Type': 'image/png' }).end(randomBytes(600));
  if (incoming.method !== 'POST') return response.writeHead(404, { 'Content-Type': 'text/html' }).end('<h1>nothing here</h1>');
  const { id, params } = JSON.parse(body);
  const text = JSON.stringify({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text: `${params?.name} ☃ ${'x'.repeat(2000)}` }] } });
  const answer = ANSWERS[params?.name];
  if (answer) return answer(response, text, id);
  return response.writeHead(200, { 'Content-Type': 'application/json' }).end(text);
}

async function startServer() {
  const server = createServer((incoming, response) => {
    const parts = [];
    incoming.on('data', part => parts.push(part)).on('end', () => answered(incoming, response, Buffer.concat(parts)));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { authority: `127.0.0.1:${server.address().port}`, path: '/mcp', stop: () => { server.closeAllConnections(); server.close(); } };
}

const call = (id, name) => JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: { text: 'before' }, _meta: { progressToken: 1 } } });
const JSON_FIELDS = { 'Content-Type': 'application/json', 'Accept': 'application/json, text/event-stream', 'Authorization': 'Bearer over-one', 'Mcp-Session-Id': 'session-of-secrets' };

/** One request over HTTP/1.1; `leave` breaks it off at the first bytes of the answer. */
function overOne(host, method, path, body, leave = false) {
  const { hostname, port } = new URL(`http://${host}`);
  return new Promise(resolve => {
    const outgoing = request({ hostname, port, method, path, headers: body ? JSON_FIELDS : {} }, response => {
      response.on('data', () => { if (leave) outgoing.destroy(); }).once('close', resolve).on('error', resolve);
    });
    outgoing.once('error', resolve).end(body);
  });
}

async function overTwo(host, bodies) {
  const session = connect(`http://${host}`);
  for (const body of bodies) {
    const stream = session.request({ ':method': 'POST', ':path': '/mcp', 'content-type': 'application/json', 'accept': 'application/json, text/event-stream' });
    stream.resume().end(body);
    await once(stream, 'close');
  }
  session.close();
}

/** A real recording with all of it. */
export async function mixed() {
  const rules = newFile('rules.toml');
  await writeFile(rules, RULES);
  const server = await startServer();
  const route = await proxied('reverse', server, ['--rules', rules]);
  let id = 0;
  for (const name of ['plain', 'gzip', 'stream', 'edited', 'answered', 'refused', 'error', 'broken']) await overOne(route.host, 'POST', '/mcp', call(id += 1, name));
  await overOne(route.host, 'POST', '/mcp', call(id += 1, 'slow'), true);
  await overOne(route.host, 'GET', '/icon.png');
  await overOne(route.host, 'GET', '/nothing?a=1&b=%20');
  await overTwo(route.host, [call(id += 1, 'plain'), call(id += 1, 'stream')]);
  await route.close();
  server.stop();
  const path = newFile('mixed.jsonl');
  await copyFile(route.recording, path);
  await route.remove();
  return path;
}

/** A recording that ends while its streams are open, as after a crash. */
export async function open() {
  const lines = (await readFile(`${ROOT}recordings/http-sse.jsonl`, 'utf8')).trim().split('\n');
  const path = newFile('open.jsonl');
  await writeFile(path, `${lines.filter(line => !['exchange_end', 'session_end', 'end'].includes(JSON.parse(line).type)).join('\n')}\n`);
  return path;
}

const entry = (number, name, answer, text) => ({
  startedDateTime: new Date(Date.UTC(2026, 10, 23, 4) + number * 37).toISOString(),
  time: 20 + number % 300,
  request: { method: 'POST', url: 'http://many.example/mcp', httpVersion: 'HTTP/1.1', headers: [{ name: 'Content-Type', value: 'application/json' }], postData: { mimeType: 'application/json', text: JSON.stringify({ jsonrpc: '2.0', id: number, method: 'tools/call', params: { name, arguments: { text } } }) } },
  response: { status: 200, statusText: 'OK', httpVersion: 'HTTP/1.1', headers: [{ name: 'Content-Type', value: 'application/json' }], content: { mimeType: 'application/json', text: JSON.stringify({ jsonrpc: '2.0', id: number, ...answer }) } },
  timings: { send: 0, wait: 10, receive: 10 },
});

const TOOLS = ['search', 'read_file', 'write_file', 'list_issues', 'run'];
const ok = text => ({ result: { content: [{ type: 'text', text }] } });
const wrong = { error: { code: -32603, message: 'it broke' } };

/** A recording of this many calls; each fiftieth fails. */
export function many(count) {
  const entries = Array.from({ length: count }, (_, number) => entry(number, TOOLS[number % TOOLS.length], number % 50 === 49 ? wrong : ok(`answer ${number}`), `question ${number}`));
  return recordingOf(`many-${count}`, entries);
}

export const MISCHIEF = [
  '</script><script>globalThis.owned = 1</script>',
  '</pre></details></style><img src="http://127.0.0.1:9/x" onerror="globalThis.owned = 1">',
  '"><svg onload="globalThis.owned = 1">',
  '\u202egnp.exe\u202c \u2066x\u2069',
  '```\n# no heading\n<b>no</b> [x](javascript:alert(1)) ![y](http://127.0.0.1:9/y)',
  "'; $(touch owned) `touch owned` \\ \" $HOME",
  '\u001b[31mred\u0000\u0007',
  'end\nparticipant X\nX->>C: forged; %%{init: {"theme": "dark"}}%% #lt; &amp;',
  '<!-- -->]]>&lt;',
];

/** A recording whose peers say all that in every place, and a line of 1 MiB. */
export function hostile() {
  const entries = MISCHIEF.map((text, number) => {
    const made = entry(number, text, number % 2 ? wrong : ok(text), text);
    made.request.headers.push({ name: 'X-Odd', value: text.replaceAll(/[\0-\x1f]/g, ' ') });
    return made;
  });
  entries.push(entry(100, 'long', ok('y'.repeat(1 << 20)), 'z'.repeat(1 << 20)));
  return recordingOf('hostile', entries);
}
