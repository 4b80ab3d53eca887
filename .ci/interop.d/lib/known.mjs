// Differences that are known and accepted, `known.json`. Each entry is exact, so that nothing else can hide behind it:
//
//   scenario, modes     the routes on which it occurs, and on which it has to occur
//   path                where, in the steps of the session
//   direct, proxied     what is there without and with the proxy; left out means nothing
//   or grouped: true    instead: header fields of one name follow the first of them, and nothing else has changed
//   fullOnly: true      its step is only taken in a full run
//   endsSession: true   a session cannot go on after it; the rest of it is not compared
//   reason              why it is accepted
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';

const ENTRIES = JSON.parse(readFileSync(new URL('../known.json', import.meta.url), 'utf8'));
const routesMet = new Set();

/** The entries for one route, each to be found there. */
export function knownFor(scenario, mode, full) {
  routesMet.add(`${scenario} · ${mode}`);
  return ENTRIES.filter(entry => entry.scenario === scenario && entry.modes.includes(mode) && (full || !entry.fullOnly));
}

/** Whether these two values at this path are exactly what the entry says. */
export function isKnown(entry, path, direct, proxied) {
  if (entry.path !== path || isDeepStrictEqual(direct, proxied)) return false;
  if (entry.grouped) return Array.isArray(direct) && isDeepStrictEqual(grouped(direct), proxied);
  return isDeepStrictEqual(direct, entry.direct) && isDeepStrictEqual(proxied, entry.proxied);
}

/** Entries for routes that a full run did not have. */
export function neverMet() {
  const routes = ENTRIES.flatMap(({ scenario, modes }) => modes.map(mode => `${scenario} · ${mode}`));
  return [...new Set(routes)].filter(route => !routesMet.has(route)).map(route => `there is no route "${route}"; take it out of known.json`);
}

function grouped(fields) {
  const byName = new Map();
  for (const field of fields) {
    const name = field[0].toLowerCase();
    byName.set(name, [...(byName.get(name) ?? []), field]);
  }
  return [...byName.values()].flat();
}
