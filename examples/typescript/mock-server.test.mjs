// Tests of a program against a recording instead of a server, with the TypeScript SDK.
//
//     SHADOWCAT_BIN=shadowcat-tui node --test mock-server.test.mjs
//     SHADOWCAT_BIN=shadowcat-tui npx vitest run mock-server.test.mjs
//
// SHADOWCAT_BIN is the program, `shadowcat-tui` of the PATH without it; RECORDINGS is the folder of the recordings.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

// A test of your own imports `test` from the one that it is for; vitest sets VITEST.
const { test } = await import(/* @vite-ignore */ process.env.VITEST ? 'vitest' : 'node:test');

const PROGRAM = process.env.SHADOWCAT_BIN ?? 'shadowcat-tui';
const RECORDINGS = process.env.RECORDINGS ?? fileURLToPath(new URL('../../recordings', import.meta.url));

/** Serves a recording; `stop()` resolves to what was asked. */
async function mockServer(recording, ...options) {
  const args = ['replay', recording, '--listen', '127.0.0.1:0', '--headless', '--format', 'json', '--log-level', 'error', ...options];
  const child = spawn(PROGRAM, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const calls = [];
  createInterface({ input: child.stdout }).on('line', line => calls.push(JSON.parse(line)));
  const closed = once(child, 'close');
  const url = await new Promise((resolve, reject) => {
    createInterface({ input: child.stderr }).on('line', line => {
      const found = /listening on (http:\/\/\S+)/.exec(line);
      if (found) resolve(new URL(`${found[1]}/mcp`));
    });
    closed.then(([code]) => reject(new Error(`it ended with code ${code}`)));
  });
  const stop = async () => {
    child.kill('SIGTERM');
    await closed;
    return calls;
  };
  return { url, stop };
}

const client = () => new Client({ name: 'example', version: '1.0.0' });

test('recorded answers come over HTTP', async () => {
  const mock = await mockServer(`${RECORDINGS}/legacy-http.jsonl`);
  const session = client();
  await session.connect(new StreamableHTTPClientTransport(mock.url));
  const answer = await session.callTool({ name: 'echo', arguments: { message: 'hello ☃' } });
  assert.deepEqual(answer.content, [{ type: 'text', text: 'Echo: hello ☃' }]);
  await assert.rejects(session.callTool({ name: 'get-sum', arguments: { a: 2, b: 40 } }), /Not in the recording: tools\/call `get-sum`/);
  await session.close();
  const calls = await mock.stop();
  assert.deepEqual(calls.filter(call => call.method === 'tools/call').map(call => [call.subject, call.found]), [['echo', 'same'], ['get-sum', 'missed']]);
});

test('a client starts the recording in place of its server', async () => {
  const session = client();
  await session.connect(new StdioClientTransport({ command: PROGRAM, args: ['replay', `${RECORDINGS}/wrap-legacy.jsonl`, '--stdio'], stderr: 'ignore' }));
  const answer = await session.callTool({ name: 'echo', arguments: { message: 'hello ☃' } });
  assert.deepEqual(answer.content, [{ type: 'text', text: 'Echo: hello ☃' }]);
  await session.close();
});
