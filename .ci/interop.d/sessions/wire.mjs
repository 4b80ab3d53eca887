// Facts about HTTP itself, with a server that is odd on purpose.
import { randomBytes } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { ask, bytes, open, transport } from '../lib/raw.mjs';
import { within } from '../lib/time.mjs';

const STATUSES = [200, 201, 202, 204, 205, 304, 400, 401, 403, 404, 405, 406, 409, 413, 415, 421, 422, 429, 500, 502, 503];
const TARGETS = ['/echo', '/echo/', '/echo//double', '/echo?', '/echo?q=%2F%2f&a+b;c&empty=', '/echo/%7Euser/..%2Fup', '/echo/a%20b?x=[1]|{2}'];
const BIG = Buffer.alloc(3 * 1024 * 1024, randomBytes(1000));

export async function wire({ route, observer, full }) {
  const fact = (name, about, read = data => data) => observer.step(name, async () => read(await ask(route, about)));
  await requests(fact);
  await answers(fact);
  await redirects(route, observer);
  await streams(route, observer);
  await departures(route, observer);
  if (full) await observer.step('an upgraded connection', () => upgrade(route));
}

async function requests(fact) {
  for (const target of TARGETS) await fact(`target ${target}`, { target });
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'DELETE', 'PUT', 'PATCH', 'PROPFIND']) await fact(`method ${method}`, { method, target: '/echo' });
  const odd = [['X-CASE', 'a'], ['x-Repeat', '1'], ['Accept', 'application/json, text/event-stream'], ['X-Repeat', '2'], ['X-Empty', ''], ['Mcp-Param-City', '=?base64?WsO8cmljaA==?='], ['User-Agent', ''], ['Via', '1.0 before'], ['Cookie', 'a=1; b=2']];
  await fact('request headers', { target: '/echo', headers: odd }, ({ body, ...rest }) => ({ ...rest, received: JSON.parse(body) }));
  await fact('a body with a length', { method: 'POST', target: '/echo', body: '{"a":1.0,"a":1e3,"s":"\\u00e9\\/"}' });
  await fact('a chunked body', { method: 'POST', target: '/echo', body: ['{"a"', ':1}'] });
  await fact('an empty body with a length', { method: 'POST', target: '/echo', body: '' });
  await fact('a large body', { method: 'POST', target: '/echo', body: BIG });
  await fact('a large chunked body', { method: 'POST', target: '/echo', body: [BIG, BIG] });
  await fact('a DELETE with a body', { method: 'DELETE', target: '/echo', body: 'x' });
  await fact('a body that waits for 100 Continue', { method: 'POST', target: '/echo', body: 'late', expect: true });
  await fact('a body that is not UTF-8', { method: 'POST', target: '/echo', headers: [['Content-Type', 'application/json']], body: Buffer.from([0x22, 0xff, 0x22]) });
}

async function answers(fact) {
  for (const status of STATUSES) await fact(`status ${status}`, { target: `/status/${status}` });
  await fact('response headers', { target: '/headers' });
  for (const target of ['/empty-length', '/empty-chunked', '/gzip', '/odd-events', '/trailers', '/large', '/broken-chunked', '/broken-length']) await fact(`answer ${target}`, { target });
  await fact('answer /trailers to a client that takes them', { target: '/trailers', headers: [['TE', 'trailers'], ['Connection', 'TE, close']] });
  await fact('HEAD of a large answer', { method: 'HEAD', target: '/large' });
}

async function redirects(route, observer) {
  await observer.step('a redirect to the server itself', async () => {
    const exchange = await open(route, { target: '/redirect' });
    await exchange.end();
    // The client must come back the way it came: to the proxy if it dialled that.
    return { ...exchange.data(), comesBack: new URL(exchange.header('location')).host === route.host };
  });
  await observer.step('a redirect to elsewhere', () => ask(route, { target: '/redirect-away' }));
}

async function streams(route, observer) {
  await observer.step('each event as soon as it came', async () => {
    const stream = await open(route, { target: '/steps' });
    const next = async text => {
      await stream.until(text);
      await ask(route, { target: '/next' });
    };
    await next('data: one\n\n');
    // Half an event has to come through as well: nothing waits for its end.
    await next('data: two');
    await stream.end();
    return stream.data();
  });
}

async function departures(route, observer) {
  await observer.step('a client that leaves before the answer', async () => {
    const leaving = open(route, { target: '/silent', onSent: outgoing => setTimeout(() => outgoing.destroy(), 200) });
    const outcome = await leaving.then(exchange => exchange.head(), error => error.code);
    return { outcome, server: bytes((await seen(route)).body()) };
  });
  await observer.step('a client that leaves in the middle', async () => {
    const stream = await open(route, { target: '/silent-stream' });
    await stream.until(': open');
    stream.cut();
    return bytes((await seen(route)).body());
  });
}

async function seen(route) {
  const exchange = await within('departure seen by the server', open(route, { target: '/gone' }), 10_000);
  await exchange.end();
  return exchange;
}

async function upgrade(route) {
  const headers = { Host: route.host, Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA==', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Protocol': 'mcp' };
  const outgoing = httpRequest({ ...await transport(route), ...route.options('/mcp'), headers });
  const answer = new Promise((resolve, reject) => {
    outgoing.once('upgrade', (response, upgraded, head) => resolve({ response, upgraded, head })).once('error', reject);
    outgoing.once('response', response => reject(new Error(`answered with ${response.statusCode}`)));
  });
  outgoing.end();
  const { response, upgraded, head } = await within('upgrade', answer);
  upgraded.write('there and back');
  let received = head.toString();
  await within('echo', (async () => {
    for await (const chunk of upgraded) {
      received += chunk;
      if (received === 'hellothere and back') return;
    }
  })());
  upgraded.destroy();
  return { status: response.statusCode, protocol: response.headers['sec-websocket-protocol'], received };
}
