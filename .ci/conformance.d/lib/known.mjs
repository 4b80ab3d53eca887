// Differences that are known, `known.json`, and explained in docs/conformance.md. Each has to be there, or its entry has to go.
//
//   side           `server` or `client`: what is tested
//   routes, legs   on which they occur
//   scenarios      in which
//   checks         in exactly these checks; without it, in any of the scenario
//   reason         why
import { readFileSync } from 'node:fs';

const ENTRIES = JSON.parse(readFileSync(new URL('../known.json', import.meta.url), 'utf8'));

const isAbout = (side, leg, route) => entry => entry.side === side && entry.routes.includes(route) && entry.legs.includes(leg);

/** The entry for a scenario on a leg and a route, if there is one. The route `direct` has what fails without the proxy. */
export function knownFor(side, leg, route, scenario) {
  return ENTRIES.filter(isAbout(side, leg, route)).find(({ scenarios }) => scenarios.includes(scenario));
}

/** All scenarios with an entry for a leg and a route. */
export const knownScenarios = (side, leg, route) => ENTRIES.filter(isAbout(side, leg, route)).flatMap(({ scenarios }) => scenarios);

/** Whether the entry says exactly that these checks are affected. */
export const covers = ({ checks }, affected) => checks === undefined || (checks.length === affected.length && checks.every(check => affected.includes(check)));
