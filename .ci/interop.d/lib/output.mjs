// What the proxy leaves behind: its lines on stdout and its recording.
import { readFile } from 'node:fs/promises';
import { messages } from './messages.mjs';

/**
 * Headless with `--format json`: each line is JSON and numbered, there is one for each message and each tunnel that was
 * recorded, each method that passed is on one, and SIGTERM ends the proxy. Where a message passes both over HTTP and over
 * pipes, both are recorded, and the lines are those for which `shown(transport)` is true.
 */
export function checkLines({ end, lines, errors }, recording, methods, shown) {
  const problems = end.stuck ? ['it did not end within 10 s of SIGTERM'] : [];
  if (!end.stuck && end.code !== 0) problems.push(`it ended with ${JSON.stringify(end)}, stderr ends with: ${errors.slice(-3).join(' | ')}`);
  const rows = parsed(lines);
  if (rows.problems.length > 0) return problems.concat(rows.problems);
  const gap = rows.values.findIndex(({ id }, index) => id !== index + 1);
  if (gap >= 0) problems.push(`line ${gap + 1} has the id ${rows.values[gap].id}`);
  problems.push(...unequal(tally(rows.values.map(ofRow)), tally(recorded(recording.values, shown).map(ofMessage))));
  return problems.concat(missing(rows.values, methods));
}

/** The recording: JSON Lines with a header that names the format, each method in a message of it, and no secret. */
export function checkRecording(recording, methods, secret) {
  const { text, values, problems } = recording;
  if (problems.length > 0) return problems;
  const found = [];
  if (values[0]?.format === undefined) found.push(`the first line has no "format": ${text.slice(0, 120)}`);
  if (text.includes(secret)) found.push('it contains the bearer token');
  return found.concat(missing(recorded(values), methods));
}

/** Reads a recording: its `text`, the `values` of its lines, and the `problems` that prevented that. */
export async function readRecording(path) {
  const text = await readFile(path, 'utf8').catch(error => error);
  if (text instanceof Error) return { text: '', values: [], problems: [`no recording: ${text.message}`] };
  return { text, ...parsed(text.split('\n').filter(line => line !== '')) };
}

function parsed(lines) {
  const values = [];
  const problems = [];
  for (const [index, line] of lines.entries()) {
    try {
      values.push(JSON.parse(line));
    } catch (error) {
      problems.push(`line ${index + 1} is not JSON (${error.message}): ${line.slice(0, 120)}`);
    }
  }
  return { values, problems: problems.slice(0, 3) };
}

/** The messages in the recorded bodies and lines, each put together from its frames, and the requests for tunnels. */
function recorded(values, shown = () => true) {
  const bodies = new Map();
  for (const { type, exchange, direction, transport, frame, text = '', base64 } of values) {
    if (type !== 'frame' || transport === 'stderr' || !shown(transport)) continue;
    const body = `${exchange} ${direction} ${transport === 'stdio' ? frame : ''}`;
    if (!bodies.has(body)) bodies.set(body, []);
    bodies.get(body).push(base64 === undefined ? Buffer.from(text) : Buffer.from(base64, 'base64'));
  }
  const tunnels = values.filter(({ type, kind }) => type === 'request' && kind === 'tunnel');
  return [...tunnels, ...[...bodies.values()].flatMap(parts => messages(Buffer.concat(parts).toString()))];
}

/** A message in words; `undefined` for other JSON. The line of an answer has the method of its call, which the answer has not. */
function ofMessage({ method, id, kind, ...rest }) {
  if (kind === 'tunnel') return 'tunnel';
  if (method) return `${id === undefined ? 'notification' : 'request'} ${method}`;
  return ['result', 'error'].find(answer => answer in rest);
}

function ofRow({ kind, method }) {
  if (['request', 'notification'].includes(kind)) return `${kind} ${method}`;
  return ['result', 'error', 'tunnel'].find(other => other === kind);
}

function tally(names) {
  const counts = new Map();
  for (const name of names) if (name) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

function unequal(lines, messages) {
  const names = [...new Set([...lines.keys(), ...messages.keys()])].filter(name => lines.get(name) !== messages.get(name));
  return names.map(name => `${name}: ${lines.get(name) ?? 0} lines, ${messages.get(name) ?? 0} in the recording`);
}

function missing(present, methods) {
  return [...methods].filter(wanted => !present.some(({ method }) => method === wanted)).map(method => `${method} passed and is not in it`);
}
