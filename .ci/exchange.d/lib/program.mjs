// The program under test, run to its end, and files of this run.
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const PROGRAM = process.env.SHADOWCAT_BIN;

/** A folder that `removeAll` takes away again. */
export const FOLDER = await mkdtemp(join(tmpdir(), 'shadowcat-exchange-'));
export const removeAll = () => rm(FOLDER, { recursive: true, force: true });

let files = 0;
/** A path in it that nothing has yet. */
export const newFile = name => join(FOLDER, `${files += 1}-${name}`);

/** Runs a program; resolves to its `code`, `stdout` and `stderr`. */
export function ran(command, args, { input, ...options } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], ...options });
    const out = [[], []];
    child.stdout.on('data', chunk => out[0].push(chunk));
    child.stderr.on('data', chunk => out[1].push(chunk));
    child.once('error', reject);
    child.once('close', code => resolve({ code, stdout: Buffer.concat(out[0]).toString(), stderr: Buffer.concat(out[1]).toString() }));
    child.stdin.on('error', () => {}).end(input);
  });
}

/** Runs shadowcat-tui, which must end with 0; resolves to its output. */
export async function shadowcat(...args) {
  const { code, stdout, stderr } = await ran(PROGRAM, args);
  if (code !== 0) throw new Error(`shadowcat-tui ${args.join(' ')} ended with ${code}:\n${stdout}${stderr}`);
  return stdout + stderr;
}

/** Exports a recording to a new file. */
export async function exported(recording, format) {
  const path = newFile(`${basename(recording, '.jsonl')}.${format}`);
  await shadowcat('export', recording, '--to', format, '-o', path);
  return path;
}

/** Imports an archive into a new recording; resolves to its path and what was said. */
export async function imported(har) {
  const path = newFile(`${basename(har).replace(/\..*/, '')}.jsonl`);
  const said = await shadowcat('import', har, '-o', path);
  return { path, said };
}

/** Imports the entries as an archive; resolves to the recording. */
export async function recordingOf(name, entries) {
  const har = newFile(`${name}.har`);
  await writeFile(har, JSON.stringify({ log: { version: '1.2', creator: { name: 'test', version: '1' }, entries } }));
  return (await imported(har)).path;
}

/** The recordings of this repository, by name. */
export async function recordings() {
  const folder = join(ROOT, 'recordings');
  const names = (await readdir(folder)).filter(name => name.endsWith('.jsonl')).sort();
  return names.map(name => join(folder, name));
}
