// Stands in for a client under test: starts the proxy in the mode that CONFORMANCE_ROUTE names, the client with a URL that
// leads through it, and ends as that does. A client that nothing of passed through the proxy has not been tested: that is
// a failure too.
//
//   node through.mjs CLIENT [ARGUMENTS] URL
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { killAll } from '../interop.d/lib/children.mjs';
import { startProxy } from './lib/proxy.mjs';
import { ROUTES } from './lib/routes.mjs';

const [program, ...rest] = process.argv.slice(2);
const url = rest.pop();
const route = ROUTES[process.env.CONFORMANCE_ROUTE];

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => { killAll(); process.exit(1); });
// A wrapped command finds this proxy, and none of the runs beside this one.
const door = mkdtempSync(join(tmpdir(), 'shadowcat-door-'));
process.env.SHADOWCAT_DOOR_DIR = door;
process.once('exit', () => rmSync(door, { recursive: true, force: true }));
const proxy = await startProxy(route.options(url));
const env = { ...process.env, ...route.env?.(proxy.authority) };
const script = route.script ? [route.script] : [];
const client = spawn(program, [...script, ...rest, (route.given ?? route.url)(proxy.authority, url)], { stdio: 'inherit', env });
const code = await new Promise((resolve, reject) => client.once('error', reject).once('exit', resolve));
const { end, rows, errors } = await proxy.stop();
if (rows.length === 0) console.error('nothing passed through the proxy');
if (end.code !== 0) console.error(`the proxy ended with ${JSON.stringify(end)}: ${errors.slice(-3).join(' | ')}`);
process.exitCode = code === 0 && (rows.length === 0 || end.code !== 0) ? 1 : code ?? 1;
