// A survey by the Python SDK, which says afterwards what it saw.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { python } from '../lib/python.mjs';

const run = promisify(execFile);
const LIMIT = { timeout: 60_000, maxBuffer: 64 * 1024 * 1024 };

export async function pythonSurvey(generation, { url, command, environment }, { kind, mode }) {
  const { program, survey, env } = python(generation);
  const target = command ? ['stdio', ...command] : [kind, url, mode];
  const { stdout } = await run(program, [survey, ...target], { ...LIMIT, env: { ...process.env, ...env, ...environment, SURVEY_MODE: mode } });
  const { methods, ...data } = JSON.parse(stdout);
  return { data, methods: new Set(methods) };
}
