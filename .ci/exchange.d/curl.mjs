// Scripts that `export` makes: run by `sh` with the real `curl` against a live server they get the recorded answers, and with a
// `curl` that only tells how it was called they send what was sent, byte by byte.
import assert from 'node:assert/strict';
import { chmod, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startServer } from '../interop.d/lib/servers.mjs';
import { check } from './lib/checks.mjs';
import { MISCHIEF } from './lib/made.mjs';
import { ROOT, exported, newFile, ran, recordingOf } from './lib/program.mjs';

/** Takes the program's place: appends its arguments to a file, each with its length, and what it reads if it is told to read. */
const STUB = `#!/bin/sh
for word in "$@"; do
  printf '%s:%s,' "$(printf %s "$word" | wc -c | tr -d ' ')" "$word" >>"$CALLS"
  if [ "$word" = @- ]; then cat >>"$CALLS.stdin"; fi
done
echo >>"$CALLS"
`;

const request = (path, headers, postData, method = 'POST') => ({
  startedDateTime: '2026-11-23T04:00:00.000Z',
  request: { method, url: `http://a.example${path}`, headers, postData },
  response: { status: 202 },
});

/** Runs the script with the stub for its `curl`, in a folder of its own. */
async function called(script) {
  const folder = newFile('curl');
  await mkdir(join(folder, 'bin'), { recursive: true });
  await writeFile(join(folder, 'bin', 'curl'), STUB);
  await chmod(join(folder, 'bin', 'curl'), 0o755);
  const calls = join(folder, 'calls');
  const { code, stderr, stdout } = await ran('sh', [script], { cwd: folder, env: { PATH: `${folder}/bin:/usr/bin:/bin`, CALLS: calls, HOME: folder } });
  assert.deepEqual([code, stderr, stdout], [0, '', ''], 'the script');
  return { calls: await readFile(calls, 'utf8'), stdin: await readFile(`${calls}.stdin`).catch(() => undefined), files: await readdir(folder) };
}

const word = text => `${Buffer.byteLength(text)}:${text},`;

async function checkQuoting() {
  for (const [number, text] of [...MISCHIEF, '@/etc/hostname', '@-', '-K/etc/hostname', '$()\n\'"\\', "'", '\r\n', '%{json}', '☃'].entries()) {
    await check(`a body of mischief, ${number}`, async () => {
      const recording = await recordingOf('mischief', [request('/x?f[a]={1,2}', [{ name: 'X-Odd', value: text.replaceAll(/[\0-\x1f]/g, ' ').trim() }], { text })]);
      const { calls, stdin, files } = await called(await exported(recording, 'curl'));
      // What cannot be seen in a script is written in numbers, and curl reads it.
      const isPiped = calls.includes(word('--data-binary') + word('@-'));
      if (isPiped) assert.equal(stdin.toString(), text);
      else assert.ok(calls.includes(word('--data-raw') + word(text)), calls);
      assert.ok(calls.includes(word('http://a.example/x?f[a]={1,2}')), calls);
      assert.deepEqual(files.toSorted(), ['bin', 'calls', ...stdin ? ['calls.stdin'] : []], 'files that the script made');
    });
  }
  await check('bytes that are no text', async () => {
    const bytes = Buffer.from([...Array(256).keys()]);
    const recording = await recordingOf('bytes', [request('/bytes', [], { text: bytes.toString('base64'), encoding: 'base64' })]);
    const { stdin } = await called(await exported(recording, 'curl'));
    assert.deepEqual(stdin, bytes);
  });
}

/** Answers of a script's requests, in order: what is in an event stream, or the body. */
const answers = text => [...text.matchAll(/^(?:data: )?(\{"(?:result|jsonrpc|error|method)".*\})$/gm)].map(([, json]) => JSON.parse(json)).filter(({ id }) => id !== undefined);

async function checkLive() {
  const server = await startServer('everything');
  await check('the requests of a session, sent again by curl to a live server', async () => {
    const recording = join(ROOT, 'recordings', 'legacy-http.jsonl');
    const script = await readFile(await exported(recording, 'curl'), 'utf8');
    const place = /'http:\/\/(127\.0\.0\.1:\d+)\/mcp'/.exec(script)[1];
    // Everything but the stream that is open as long as the session is, and its end.
    const commands = script.split(/\n(?=# R1 )/).slice(1).filter(command => command.includes("-X 'POST'"));
    const run = async command => (await ran('sh', ['-c', command.replaceAll(place, server.authority)])).stdout;
    const fields = (await ran('sh', ['-c', commands[0].replaceAll(place, server.authority).replace('curl ', 'curl -D - -m 10 ')])).stdout;
    const id = /^mcp-session-id: (.*)\r$/im.exec(fields)[1];
    assert.equal(answers(fields)[0].result.serverInfo.name, 'mcp-servers/everything');
    const tag = /Mcp-Session-Id: (‹secret:\w+›)/i.exec(script)[1];
    const filled = commands.slice(1).map(command => command.replaceAll(tag, id));
    assert.equal(await run(filled[0]), '', 'notifications/initialized');
    const told = new Map();
    for (const command of filled) {
      const called = /"method":"tools\/call","params":\{"name":"(echo|get-sum|trigger-long-running-operation)"/.exec(command);
      if (called) told.set(called[1], answers(await run(command)).at(-1).result);
    }
    assert.deepEqual(told.get('echo').content, [{ type: 'text', text: 'Echo: hello ☃' }]);
    assert.match(told.get('get-sum').content[0].text, /The sum of 2 and 3 is 5/);
    assert.match(told.get('trigger-long-running-operation').content[0].text, /^Long running operation completed/);
  });
  await server.stop();
}

export async function checkScripts() {
  console.log('\n== scripts for curl');
  await checkQuoting();
  await checkLive();
}
