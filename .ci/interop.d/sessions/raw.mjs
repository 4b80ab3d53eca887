// The answers of real servers to good and bad requests, head for head and byte for byte.
import { ask, open } from '../lib/raw.mjs';

const BOTH = ['Accept', 'application/json, text/event-stream'];
const JSON_TYPE = ['Content-Type', 'application/json'];
const POST = [BOTH, JSON_TYPE];
const initialize = version => ({ jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: version, capabilities: {}, clientInfo: { name: 'raw', version: '1' } } });

function poster(route, observer) {
  const post = (body, headers = POST) => ({ method: 'POST', target: '/mcp', headers, body: typeof body === 'string' ? body : JSON.stringify(body) });
  const fact = (name, about) => observer.step(name, () => ask(route, about));
  return { post, fact };
}

export async function rawEverything({ route, observer }) {
  const { post, fact } = poster(route, observer);
  const list = { jsonrpc: '2.0', id: 1, method: 'tools/list' };
  await fact('GET without a session', { target: '/mcp', headers: [['Accept', 'text/event-stream']] });
  await fact('DELETE without a session', { method: 'DELETE', target: '/mcp' });
  await fact('PUT', { method: 'PUT', target: '/mcp' });
  await fact('HEAD', { method: 'HEAD', target: '/mcp' });
  await fact('another path', { target: '/nowhere?x=1' });
  const preflight = [['Origin', 'http://localhost:6274'], ['Access-Control-Request-Method', 'POST'], ['Access-Control-Request-Headers', 'content-type,mcp-session-id']];
  await fact('a preflight request', { method: 'OPTIONS', target: '/mcp', headers: preflight });
  await fact('no Accept', post(initialize('2025-06-18'), [JSON_TYPE]));
  await fact('only JSON accepted', post(initialize('2025-06-18'), [['Accept', 'application/json'], JSON_TYPE]));
  await fact('text', post(initialize('2025-06-18'), [BOTH, ['Content-Type', 'text/plain']]));
  await fact('not JSON', post('{"jsonrpc":'));
  await fact('not JSON-RPC', post({ hello: 'world' }));
  await fact('not initialized', post(list));
  await fact('an unknown session', post(list, [...POST, ['Mcp-Session-Id', 'no-such-session']]));
  await fact('an unknown revision', post(initialize('1999-01-01')));
  await session(route, observer, post, list);
}

async function session(route, observer, post, list) {
  const fact = (name, about) => observer.step(name, () => ask(route, about));
  let headers;
  await observer.step('initialize', async () => {
    const exchange = await open(route, post(initialize('2025-11-25')));
    await exchange.end();
    headers = [...POST, ['Mcp-Session-Id', exchange.header('mcp-session-id')], ['MCP-Protocol-Version', '2025-11-25']];
    return exchange.data();
  });
  const listen = { target: '/mcp', headers: [['Accept', 'text/event-stream'], ...headers.slice(2)] };
  await fact('initialized', post({ jsonrpc: '2.0', method: 'notifications/initialized' }, headers));
  let stream;
  await observer.step('GET opens a stream', async () => {
    stream = await open(route, listen);
    return stream.head();
  });
  await fact('a second GET', listen);
  await fact('tools/list', post(list, headers));
  await fact('a batch', post([list, { ...list, id: 2 }], headers));
  await fact('a wrong revision in the header', post(list, [...headers.slice(0, 3), ['MCP-Protocol-Version', '1999-01-01']]));
  await fact('initialize again', post(initialize('2025-11-25'), headers));
  stream?.cut();
  await resume(route, observer, post, headers);
  await fact('DELETE', { method: 'DELETE', target: '/mcp', headers });
  await fact('after the end', post(list, headers));
}

async function resume(route, observer, post, headers) {
  let first;
  await observer.step('a stream with ids', async () => {
    const call = { jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: 'trigger-long-running-operation', arguments: { duration: 0.2, steps: 2 }, _meta: { progressToken: 0 } } };
    const exchange = await open(route, post(call, headers));
    await exchange.end();
    first = /^id: (.*)$/m.exec(exchange.body().toString())?.[1];
    return exchange.data();
  });
  await observer.step('the rest of it, asked for again', async () => {
    const exchange = await open(route, { target: '/mcp', headers: [...headers, ['Last-Event-ID', first]] });
    await exchange.until('"id":7');
    const { status, headers: head } = exchange.head();
    const events = exchange.body().toString().split('\n').filter(line => line.startsWith('data: {'));
    exchange.cut();
    return { status, head, events };
  });
}

export async function rawModern({ route, observer }) {
  const { post, fact } = poster(route, observer);
  const _meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {}, 'io.modelcontextprotocol/clientInfo': { name: 'raw', version: '1' } };
  const head = (method, ...more) => [...POST, ['MCP-Protocol-Version', '2026-07-28'], ['Mcp-Method', method], ...more];
  const rpc = (method, params = {}, id = 1) => ({ jsonrpc: '2.0', id, method, params: { ...params, _meta } });
  const echo = rpc('tools/call', { name: 'echo', arguments: { message: 'é \u2028' } }, 'one');
  await fact('GET', { target: '/mcp', headers: [['Accept', 'text/event-stream']] });
  await fact('DELETE', { method: 'DELETE', target: '/mcp' });
  await fact('server/discover', post(rpc('server/discover'), head('server/discover')));
  await fact('a tool', post(echo, head('tools/call', ['Mcp-Name', 'echo'])));
  await fact('a tool with padding around its name', post(echo, head('tools/call', ['mcp-NAME', '  echo  '])));
  await fact('a name that does not match', post(echo, head('tools/call', ['Mcp-Name', 'other'])));
  await fact('a method that does not match', post(echo, head('tools/list', ['Mcp-Name', 'echo'])));
  await fact('no mirrored headers', post(echo));
  await fact('an unknown method', post(rpc('interop/unknown'), head('interop/unknown')));
  await fact('an unknown revision', post({ ...rpc('tools/list'), params: { _meta: { ..._meta, 'io.modelcontextprotocol/protocolVersion': '2099-01-01' } } }, [...POST, ['MCP-Protocol-Version', '2099-01-01'], ['Mcp-Method', 'tools/list']]));
  await fact('no _meta', post({ jsonrpc: '2.0', id: 3, method: 'tools/list' }, head('tools/list')));
  await fact('an initialize of the legacy era', post(initialize('2025-06-18')));
  await fact('text', post(echo, [BOTH, ['Content-Type', 'text/plain']]));
  await fact('not JSON', post('{'));
  const steps = rpc('tools/call', { name: 'steps', arguments: { count: 3 } });
  steps.params._meta = { ..._meta, progressToken: 0, 'io.modelcontextprotocol/logLevel': 'debug' };
  await fact('a stream', post(steps, head('tools/call', ['Mcp-Name', 'steps'])));
  await observer.step('a subscription', async () => {
    const stream = await open(route, post(rpc('subscriptions/listen', { notifications: { toolsListChanged: true } }, 9), head('subscriptions/listen')));
    await stream.until('notifications/subscriptions/acknowledged');
    const touched = await ask(route, post(rpc('tools/call', { name: 'touch', arguments: { uri: 'test://plain' } }), head('tools/call', ['Mcp-Name', 'touch'])));
    await stream.until('notifications/tools/list_changed');
    stream.cut();
    return { ...stream.head(), body: stream.body().toString(), touched };
  });
}
