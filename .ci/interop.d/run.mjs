// Runs each session directly and through the proxy and compares what the client saw. `--full` runs every combination.
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { SECRET } from './lib/clients.mjs';
import { killAll } from './lib/children.mjs';
import { differences } from './lib/compare.mjs';
import { knownFor, neverMet } from './lib/known.mjs';
import { normalise } from './lib/normalise.mjs';
import { checkLines, checkRecording, readRecording } from './lib/output.mjs';
import { MODES, direct, proxied, replayed } from './lib/routes.mjs';
import { within } from './lib/time.mjs';
import { SCENARIOS } from './scenarios.mjs';

const full = process.argv.includes('--full');
const only = process.argv.slice(2).find(argument => !argument.startsWith('--'));
const totals = { passed: 0, failed: 0 };

/** Wrapped commands find the proxies of this run, and no others. All programs have the same environment, which some servers tell of. */
process.env.SHADOWCAT_DOOR_DIR = mkdtempSync(join(tmpdir(), 'shadowcat-door-'));
process.once('exit', () => rmSync(process.env.SHADOWCAT_DOOR_DIR, { recursive: true, force: true }));

const SESSION_MILLISECONDS = 120_000;
const TOTAL_MILLISECONDS = (full ? 60 : 12) * 60_000;
/** Sessions wait more than they work. */
const AT_ONCE = Math.min(availableParallelism(), 4);

function check(name, problems, known = []) {
  const verdict = problems.length === 0 ? 'passed' : 'failed';
  totals[verdict] += 1;
  console.log(`${verdict === 'passed' ? 'ok    ' : 'FAILED'} ${name}`);
  for (const problem of problems) console.log(`         ${problem}`);
  for (const { path, reason } of known) console.log(`known    ${path}: ${reason}`);
}

/** Runs a scenario over one route; what it saw comes back with everything volatile taken out. */
async function observe(scenario, route) {
  const { data, methods } = await within('end of the session', scenario.session({ route, full }), SESSION_MILLISECONDS);
  const { exchanges, ...rest } = data;
  return { seen: normalise(route.crosses || !exchanges ? rest : { ...rest, exchanges }, route.replacements), methods };
}

async function runDirect(scenario, server) {
  const route = direct(server);
  try {
    return (await observe(scenario, route)).seen;
  } finally {
    await route.close();
  }
}

async function runProxied(scenario, server, mode, expected) {
  const name = `${scenario.name} · ${mode}`;
  const route = await proxied(mode, server);
  try {
    const { seen, methods } = await observe(scenario, route);
    const left = await route.close();
    const isWhole = compare(name, expected, seen, knownFor(scenario.name, mode, full));
    const recording = await readRecording(route.recording);
    const visible = isWhole ? visibleMethods(mode, methods) : [];
    check(`${name} · the proxy's lines`, checkLines(left, recording, visible, route.shown));
    check(`${name} · the recording`, checkRecording(recording, visible, SECRET));
    if (isWhole && scenario.replays?.(mode)) await runReplayed(scenario, server, name, route.recording, expected);
  } catch (error) {
    check(`${name} · runs to its end`, [error.stack]);
    await route.close();
  } finally {
    await route.remove();
  }
}

/** The recording in the place of the server: the client sees the same again. */
async function runReplayed(scenario, server, name, recording, expected) {
  const route = await replayed(recording, server);
  try {
    const { seen } = await observe(scenario, route);
    check(`${name} · its recording in place of the server`, differences(withTags(expected.steps, seen.steps), seen.steps).problems);
  } finally {
    await route.close();
  }
}

/** What was seen of a server, with the tags of its recording in the place of secrets. */
function withTags(direct, replayed) {
  if (typeof replayed === 'string' && replayed.includes('‹secret:')) return replayed;
  if (direct === null || typeof direct !== 'object') return direct;
  const entries = Object.entries(direct).map(([key, value]) => [key, withTags(value, replayed?.[key])]);
  return Array.isArray(direct) ? entries.map(([, value]) => value) : Object.fromEntries(entries);
}

/** Nobody looks into a tunnel. */
const visibleMethods = (mode, methods) => (mode === 'tunnel' ? ['CONNECT'] : methods);

/**
 * Compares all parts, and tells whether the session was one to the end. Each known difference has to be there, or its
 * entry has outlived its reason.
 */
function compare(name, expected, seen, known) {
  const { steps, ...rest } = expected;
  const found = differences(steps, seen.steps, known);
  const isWhole = !found.known.some(({ endsSession }) => endsSession);
  const gone = known.filter(entry => !found.known.includes(entry));
  const problems = gone.map(({ path }) => `${path}: this difference is gone; take it out of known.json`);
  check(`${name} · steps as without the proxy`, isWhole ? [...found.problems, ...problems] : problems, found.known);
  for (const part of isWhole ? Object.keys(rest).filter(part => part in seen) : []) check(`${name} · ${part} as without the proxy`, differences(rest[part], seen[part]).problems);
  return isWhole;
}

async function runScenario(scenario) {
  if (!full && scenario.modes.length === 0) return;
  const began = performance.now();
  const server = await scenario.start();
  try {
    const expected = await runDirect(scenario, server);
    if (full) check(`${scenario.name} · direct · is the same twice`, differences(expected, await runDirect(scenario, server)).problems);
    const problems = scenario.sane?.(expected) ?? [];
    check(`${scenario.name} · direct · is a real session`, problems);
    const possible = MODES[server.command ? 'stdio' : 'http'].filter(mode => scenario.takes?.(mode) ?? true);
    for (const mode of full ? possible : scenario.modes) await runProxied(scenario, server, mode, expected);
  } finally {
    await server.stop();
  }
  console.log(`       ${scenario.name}: ${((performance.now() - began) / 1000).toFixed(1)} s`);
}

function giveUp(reason) {
  console.log(`gave up: ${reason}`);
  killAll();
  console.log(`${totals.passed} passed, ${totals.failed + 1} failed`);
  process.exit(1);
}

setTimeout(() => giveUp(`not done after ${TOTAL_MILLISECONDS / 1000} s`), TOTAL_MILLISECONDS).unref();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => giveUp(signal));
process.once('uncaughtException', error => giveUp(error.stack));

const waiting = SCENARIOS.filter(({ name }) => name.includes(only ?? ''));
const worker = async () => {
  for (let scenario = waiting.shift(); scenario; scenario = waiting.shift()) {
    await runScenario(scenario).catch(error => check(`${scenario.name} · runs to its end`, [error.stack]));
  }
};
await Promise.all(Array.from({ length: AT_ONCE }, worker));
killAll();
if (full && !only) check('known differences', neverMet());
console.log(`${totals.passed} passed, ${totals.failed} failed`);
process.exit(totals.failed === 0 && totals.passed > 0 ? 0 : 1);
