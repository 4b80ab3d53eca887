// Clients that keep their https:// URLs, through the proxy with TLS intercepted.
//
//   SHADOWCAT_BIN=… node https.mjs
//
// Sessions of both generations of the SDK, and what `exec` starts: curl, Python and Node. curl and Python are left out,
// and that is said, where they are not installed.
import { execFile, execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { CLIENTS, SECRET, callTool } from './lib/clients.mjs';
import { killAll } from './lib/children.mjs';
import { intercepted, unchecked } from './lib/https.mjs';
import { Observer } from './lib/observe.mjs';
import { checkLines, checkRecording, readRecording } from './lib/output.mjs';
import { startServer } from './lib/servers.mjs';
import { within } from './lib/time.mjs';

const run = promisify(execFile);
const BIN = process.env.SHADOWCAT_BIN;
const NODE_CLIENT = fileURLToPath(new URL('./peers/https-client.mjs', import.meta.url));
const PYTHON_CLIENT = `
import json, sys, urllib.request
body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode()
headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
request = urllib.request.Request(sys.argv[1], body, headers)
try:
    print(urllib.request.urlopen(request).status)
except urllib.error.HTTPError as error:
    print(error.code)
`;
const totals = { passed: 0, failed: 0 };

function check(name, problems) {
  totals[problems.length === 0 ? 'passed' : 'failed'] += 1;
  console.log(`${problems.length === 0 ? 'ok    ' : 'FAILED'} ${name}`);
  for (const problem of problems) console.log(`         ${problem}`);
}

async function session({ url, dispatcher }, generation) {
  const observer = new Observer();
  const { client, transport } = CLIENTS[generation]({ url, dispatcher, observer });
  await client.connect(transport);
  await callTool(client, { name: 'echo', arguments: { message: 'hello ☃' } });
  const sum = await callTool(client, { name: 'get-sum', arguments: { a: 2, b: 3 } });
  await callTool(client, { name: 'trigger-long-running-operation', arguments: { duration: 0.2, steps: 2 } }, { onprogress: () => {} });
  await transport.terminateSession?.();
  await client.close();
  return { tools: sum.content, methods: ['initialize', 'notifications/initialized', 'tools/call', 'notifications/progress'] };
}

/** The server's answer to a client that has no session, whichever client asks. */
const ANSWER = '400';

function isInstalled(program) {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

async function started(name, route, command) {
  const outcome = await run(BIN, ['exec', '--connect', route.address, '--ca-dir', route.caDir, '--', ...command], { timeout: 30_000 }).catch(error => error);
  const said = outcome.stdout?.trim();
  check(`exec · ${name} believes the proxy`, said === ANSWER ? [] : [`it said ${JSON.stringify(said)}: ${outcome.stderr}`]);
}

async function clients(route) {
  const body = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
  const commands = {
    curl: ['curl', '-sS', '-o', '/dev/null', '-w', '%{http_code}', '-H', 'Content-Type: application/json', '-H', 'Accept: application/json, text/event-stream', '-d', body, route.url],
    python3: ['python3', '-c', PYTHON_CLIENT, route.url],
    node: [process.execPath, NODE_CLIENT, route.url],
  };
  for (const [name, command] of Object.entries(commands)) {
    if (isInstalled(command[0])) await started(name, route, command);
    else console.log(`without ${name}, which is not installed`);
  }
}

async function generation(server, name) {
  const route = await intercepted(server);
  try {
    const { tools, methods } = await within('end of the session', session(route, name), 60_000);
    const direct = await session({ url: route.url, dispatcher: unchecked() }, name);
    check(`${name} · as without the proxy`, JSON.stringify(tools) === JSON.stringify(direct.tools) ? [] : ['other results']);
    const left = await route.close();
    const recording = await readRecording(route.recording);
    check(`${name} · the proxy's lines`, checkLines(left, recording, methods));
    check(`${name} · the recording`, checkRecording(recording, methods, SECRET));
  } catch (error) {
    check(`${name} · runs to its end`, [error.stack]);
    await route.close();
  } finally {
    await route.remove();
  }
}

const server = await startServer('everything');
for (const name of ['sdk 1.x', 'client 2.x legacy']) await generation(server, name);
const route = await intercepted(server);
await clients(route);
await route.close();
await route.remove();
await server.stop();
killAll();
console.log(`${totals.passed} passed, ${totals.failed} failed`);
process.exit(totals.failed === 0 && totals.passed > 0 ? 0 : 1);
