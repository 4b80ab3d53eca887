// A survey by an SDK of another language, in a program that says afterwards what it saw.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { python } from '../lib/python.mjs';
import { CLIENT } from '../lib/rust.mjs';

const run = promisify(execFile);
const LIMIT = { timeout: 120_000, maxBuffer: 64 * 1024 * 1024 };

async function survey(program, args, env) {
  const { stdout } = await run(program, args, { ...LIMIT, env: { ...process.env, ...env } });
  const { methods, ...data } = JSON.parse(stdout);
  return { data, methods: new Set(methods) };
}

export function pythonSurvey(generation, { url, command, environment }, { kind, mode }) {
  const { program, survey: script, env } = python(generation);
  const target = command ? ['stdio', ...command] : [kind, url, mode];
  return survey(program, [script, ...target], { ...env, ...environment, SURVEY_MODE: mode });
}

export function rustSurvey({ url, command, environment }, { mode }) {
  return survey(CLIENT, command ? ['stdio', mode, ...command] : ['http', url, mode], environment);
}
