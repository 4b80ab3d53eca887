// Runs the official suite directly and through the proxy; the same checks have to come out the same.
//
//   node run.mjs [--sides=server,client] [--legs='suite 0.1'] [--routes=reverse,forward] [PART OF A SCENARIO'S NAME]
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { killAll, start } from '../interop.d/lib/children.mjs';
import { python } from '../interop.d/lib/python.mjs';
import { CLIENT_LEGS, SERVER_LEGS } from './legs.mjs';
import { covers, knownFor, knownScenarios } from './lib/known.mjs';
import { startProxy } from './lib/proxy.mjs';
import { CLIENT_ROUTES, ROUTES, SERVER_ROUTES } from './lib/routes.mjs';
import { clientChecks, clientScenarios, serverChecks } from './lib/suite.mjs';

/** Wrapped commands find the proxies of this run, and no others. */
process.env.SHADOWCAT_DOOR_DIR = mkdtempSync(join(tmpdir(), 'shadowcat-door-'));
process.once('exit', () => rmSync(process.env.SHADOWCAT_DOOR_DIR, { recursive: true, force: true }));

const AT_ONCE = 3;
const SHOWN = 4;
const option = (name, all) => process.argv.find(argument => argument.startsWith(`--${name}=`))?.split('=')[1].split(',') ?? all;
const sides = option('sides', ['server', 'client']);
const routesOf = (side, all) => option('routes', all).filter(route => sides.includes(side) && all.includes(route));
/** Legs by parts of their names. */
const legsOf = all => all.filter(({ name }) => option('legs', ['']).some(part => name.includes(part)));
const only = process.argv.slice(2).find(argument => !argument.startsWith('--')) ?? '';

const table = [];
const problems = [];
const explained = new Map();
/** By route: how many runs there were of scenarios in which a client logs in, and how many failed through the proxy only. */
const logins = new Map();

/** The checks whose status differs between two results of a scenario. */
function differing(direct, through) {
  const ids = new Set([...Object.keys(direct), ...Object.keys(through)]);
  return [...ids].filter(id => direct[id] !== through[id]);
}

const failing = checks => Object.keys(checks).filter(id => checks[id] === 'FAILURE');

function countLogin(route, direct, through) {
  const counts = logins.get(route) ?? { runs: 0, broken: 0 };
  counts.runs += 1;
  if (failing(through).some(id => direct[id] !== 'FAILURE')) counts.broken += 1;
  logins.set(route, counts);
}

/** Enters a scenario's difference, or its failure without the proxy, as explained or as a problem. */
function judge({ side, leg, route, scenario, affected, detail }) {
  const known = knownFor(side, leg, route, scenario);
  const where = `${side} · ${leg} · ${scenario} · ${route}`;
  if (known && affected.length === 0) {
    problems.push(`${where}: no longer so; take it out of known.json`);
  } else if (known && covers(known, affected)) {
    explained.set(known.reason, (explained.get(known.reason) ?? 0) + 1);
  } else if (affected.length > 0) {
    const shown = affected.slice(0, SHOWN).map(detail).join(', ');
    problems.push(`${where}: ${shown}${affected.length > SHOWN ? `, and ${affected.length - SHOWN} more` : ''}`);
    console.error(problems.at(-1));
  }
}

/** Compares the results of a leg, `{ scenario: { check: status } }`, without and with the proxy, and enters them in the table. */
function compare(side, leg, route, direct, through) {
  const all = [...new Set([...Object.keys(direct), ...Object.keys(through)])].filter(name => name.includes(only));
  judgeAbsent(side, leg, route, all);
  let same = 0;
  for (const scenario of all) {
    const [one, two] = [direct[scenario] ?? {}, through[scenario] ?? {}];
    const affected = differing(one, two);
    if (affected.length === 0) same += 1;
    if (scenario.startsWith('auth/')) countLogin(route, one, two);
    judge({ side, leg, route, scenario, affected, detail: id => `${id} ${one[id] ?? 'absent'} → ${two[id] ?? 'absent'}` });
  }
  console.error(`${side} · ${leg} · ${route}: ${same} of ${all.length} the same`);
  const passed = results => all.filter(name => results[name] && failing(results[name]).length === 0).length;
  table.push([side, leg, route, all.length, passed(direct), passed(through), same]);
}

/** What is written down about scenarios that a leg does not have is of no use to anybody. */
function judgeAbsent(side, leg, route, all) {
  const absent = knownScenarios(side, leg, route).filter(name => name.includes(only) && !all.includes(name));
  for (const name of absent) problems.push(`${side} · ${leg} · ${name} · ${route}: not run; take it out of known.json`);
}

function judgeDirect(side, leg, direct) {
  if (Object.keys(direct).length === 0) problems.push(`${side} · ${leg}: no scenario was run`);
  judgeAbsent(side, leg, 'direct', Object.keys(direct));
  for (const [scenario, checks] of Object.entries(direct)) {
    if (scenario.includes(only)) judge({ side, leg, route: 'direct', scenario, affected: failing(checks), detail: id => `${id} fails` });
  }
}

async function serverLeg(leg) {
  const direct = await withServer(leg, url => serverChecks(leg, url));
  judgeDirect('server', leg.name, direct);
  for (const route of routesOf('server', SERVER_ROUTES)) {
    const through = await withServer(leg, url => throughProxy(leg, route, url));
    compare('server', leg.name, route, direct, through);
  }
}

async function withServer({ generation }, use) {
  const { program, server, env } = python(generation);
  const child = await start('the server', program, [server], { ready: /^test server on port (\d+)$/, env });
  try {
    return await use(`http://127.0.0.1:${child.match[1]}/mcp`);
  } finally {
    await child.stop();
  }
}

async function throughProxy(leg, name, url) {
  const route = ROUTES[name];
  const proxy = await startProxy(route.options(url), route.command?.(url, leg));
  const results = await serverChecks(leg, route.url(proxy.authority, url), route.env?.(proxy.authority));
  const { end, rows, errors } = await proxy.stop();
  const where = `server · ${leg.name} · ${name}`;
  const passed = rows.filter(({ kind }) => (kind === 'tunnel') === (route.kind === 'tunnel')).length;
  if (passed < (route.kind === 'tunnel' ? 1 : Object.keys(results).length)) problems.push(`${where}: only ${passed} passed through the proxy`);
  if (end.code !== 0) problems.push(`${where}: the proxy ended with ${JSON.stringify(end)}: ${errors.slice(-3).join(' | ')}`);
  return results;
}

async function clientLeg(leg) {
  const scenarios = (await clientScenarios(leg.version)).filter(scenario => leg.takes(scenario) && scenario.name.includes(only)).map(({ name }) => name);
  const direct = await clientRun(leg, scenarios);
  judgeDirect('client', leg.name, direct);
  for (const route of routesOf('client', CLIENT_ROUTES)) {
    const taken = scenarios.filter(ROUTES[route].takes ?? (() => true));
    if (taken.length === 0) continue;
    const results = await clientRun(leg, taken, route);
    compare('client', leg.name, route, Object.fromEntries(taken.map(name => [name, direct[name]])), results);
  }
}

/** Runs scenarios a few at a time: more would make those that measure time fail. */
async function clientRun(leg, scenarios, route) {
  const results = {};
  const waiting = [...scenarios];
  const worker = async () => {
    for (let name = waiting.shift(); name; name = waiting.shift()) results[name] = (await clientChecks(leg, name, route)).checks;
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return results;
}

function report() {
  const rows = [['side', 'what', 'route', 'scenarios', 'pass directly', 'pass through', 'the same checks'], ...table].map(row => row.map(String));
  const widths = rows[0].map((_, column) => Math.max(...rows.map(row => row[column].length)));
  for (const row of rows) console.log(row.map((cell, column) => cell.padEnd(widths[column])).join('  ').trimEnd());
  for (const [route, { runs, broken }] of logins) console.log(`logins · ${route}: ${broken} of ${runs} runs fail with the proxy only`);
  for (const [reason, count] of explained) console.log(`explained ${count}: ${reason}`);
  for (const problem of problems) console.log(`FAILED ${problem}`);
  console.log(`${table.length} comparisons, ${problems.length} unexplained differences`);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => { killAll(); process.exit(1); });
const began = performance.now();
const progress = async (side, leg, run) => {
  await run(leg).catch(error => problems.push(`${side} · ${leg.name}: ${error.stack}`));
  console.error(`${side} · ${leg.name}: done after ${((performance.now() - began) / 1000).toFixed(0)} s`);
};
if (sides.includes('server')) for (const leg of legsOf(SERVER_LEGS)) await progress('server', leg, serverLeg);
if (sides.includes('client')) for (const leg of legsOf(CLIENT_LEGS)) await progress('client', leg, clientLeg);
killAll();
report();
process.exit(problems.length === 0 && table.length > 0 ? 0 : 1);
