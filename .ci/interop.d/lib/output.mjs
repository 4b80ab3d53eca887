// What the proxy leaves behind: its lines on stdout and its recording.
import { readFile } from 'node:fs/promises';

/** Headless with `--format json`: each line is JSON, each method that passed is on a line, and SIGTERM ends it. */
export function checkLines({ end, lines, errors }, methods) {
  const problems = end.stuck ? ['it did not end within 10 s of SIGTERM'] : [];
  if (!end.stuck && end.code !== 0) problems.push(`it ended with ${JSON.stringify(end)}, stderr ends with: ${errors.slice(-3).join(' | ')}`);
  problems.push(...notJson(lines));
  return problems.concat(missing(lines, methods));
}

/** The recording: JSON Lines with a header that names the format, each method in it, and no secret. */
export async function checkRecording(path, methods, secret) {
  const text = await readFile(path, 'utf8').catch(error => error);
  if (text instanceof Error) return [`no recording: ${text.message}`];
  const lines = text.split('\n').filter(line => line !== '');
  const problems = notJson(lines);
  if (problems.length > 0) return problems;
  if (lines.length === 0 || !('format' in JSON.parse(lines[0]))) problems.push(`the first line has no "format": ${lines[0]?.slice(0, 120)}`);
  if (text.includes(secret)) problems.push('it contains the bearer token');
  return problems.concat(missing(lines, methods));
}

function notJson(lines) {
  const problems = [];
  for (const [index, line] of lines.entries()) {
    try {
      JSON.parse(line);
    } catch (error) {
      problems.push(`line ${index + 1} is not JSON (${error.message}): ${line.slice(0, 120)}`);
    }
  }
  return problems.slice(0, 3);
}

function missing(lines, methods) {
  const all = lines.join('\n');
  return [...methods].filter(method => !all.includes(method)).map(method => `${method} passed and is not in it`);
}
