// The official suite as a child process, and what its checks say.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { python } from '../../interop.d/lib/python.mjs';
import { NODE, THROUGH, suite } from './programs.mjs';

const run = promisify(execFile);
const SCENARIO_MILLISECONDS = 180_000;
const SERVER_MILLISECONDS = 900_000;
/** From worst to best; what a scenario says for information only is left out. */
const STATUSES = ['FAILURE', 'WARNING', 'SKIPPED', 'SUCCESS'];

/** The names of a version's client scenarios, each with the revisions for which it is. */
export async function clientScenarios(version) {
  const { stdout } = await run(NODE, [suite(version), 'list']);
  const section = /^Client scenarios.*\n((?: +- .*\n)+)/m.exec(stdout)[1];
  return [...section.matchAll(/- (\S+) \[(.*)\]/g)].map(([, name, revisions]) => ({ name, revisions: revisions.split(',') }));
}

/** Runs all server scenarios against `url`; resolves to `{ scenario: { check: status } }`. */
export function serverChecks({ version, revision }, url, env = {}) {
  return inDirectory(async directory => {
    const args = [suite(version), 'server', '--url', url, '--suite', 'all', '--output-dir', directory, ...specVersion(revision)];
    const log = await outcome(NODE, args, { env: { ...process.env, ...env }, timeout: SERVER_MILLISECONDS });
    const entries = await Promise.all((await readdir(directory)).map(async name => [scenarioOf(name), await readChecks(join(directory, name))]));
    if (entries.length === 0) throw new Error(`the suite left no results: ${log.slice(-800)}`);
    return Object.fromEntries(entries.sort());
  });
}

/** Runs one client scenario, with the proxy between if a `route` is given; resolves to its `checks` and what was printed. */
export function clientChecks({ version, revision, generation }, scenario, route) {
  return inDirectory(async directory => {
    const { program, client, env } = python(generation);
    const command = [...(route ? [process.execPath, THROUGH] : []), program, client].join(' ');
    const args = [suite(version), 'client', '--scenario', scenario, '--command', command, '--timeout', String(SCENARIO_MILLISECONDS), '--output-dir', directory, ...specVersion(revision)];
    const log = await outcome(NODE, args, { env: { ...process.env, ...env, CONFORMANCE_ROUTE: route ?? '' }, timeout: 2 * SCENARIO_MILLISECONDS });
    const checks = await findChecks(directory);
    const overall = /OVERALL: (PASSED|FAILED)/.exec(log)?.[1];
    if (checks === undefined || overall === undefined) throw new Error(`the suite left no results: ${log.slice(-800)}`);
    return { checks: { ...checks, overall: overall === 'PASSED' ? 'SUCCESS' : 'FAILURE' }, log };
  });
}

const specVersion = revision => (revision ? ['--spec-version', revision] : []);

/** `server-NAME-TIME` without what is around the name. */
const scenarioOf = directory => directory.replace(/^server-/, '').replace(/-\d{4}-\d\d-\d\dT[\d-]+Z$/, '');

/** What a program printed. That it ended with a failure is in its results. */
async function outcome(program, args, options) {
  const { stdout, stderr } = await run(program, args, { ...options, maxBuffer: 256 * 1024 * 1024 }).catch(error => error);
  return `${stdout}\n${stderr}`;
}

/** One status for each check, the worst if it was made several times. */
async function readChecks(directory) {
  const checks = JSON.parse(await readFile(join(directory, 'checks.json'), 'utf8'));
  const worst = new Map();
  for (const { id, status } of checks) {
    const rank = STATUSES.indexOf(status);
    if (rank >= 0) worst.set(id, Math.min(rank, worst.get(id) ?? STATUSES.length));
  }
  return Object.fromEntries([...worst].sort().map(([id, rank]) => [id, STATUSES[rank]]));
}

/** A scenario with a slash in its name has its results in a directory below. */
async function findChecks(directory) {
  const files = await readdir(directory, { recursive: true });
  const found = files.find(name => name.endsWith('checks.json'));
  return found && readChecks(join(directory, found, '..'));
}

async function inDirectory(use) {
  const directory = await mkdtemp(join(tmpdir(), 'shadowcat-conformance-'));
  try {
    return await use(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
