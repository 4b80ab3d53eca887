// Deep comparison of two observations, reported by path.
import { isKnown } from './known.mjs';

const SHOWN = 12;
const CONTEXT = 60;

/**
 * The places where `actual` differs from `expected`: those that `known` entries account for, as these entries, and all
 * others as `problems`, lines to print.
 */
export function differences(expected, actual, known = []) {
  const found = { known: new Set(), others: [] };
  walk(expected, actual, '', known, found);
  const problems = found.others.slice(0, SHOWN).flat();
  if (found.others.length > SHOWN) problems.push(`… and ${found.others.length - SHOWN} more`);
  return { problems, known: [...found.known] };
}

function walk(expected, actual, path, known, found) {
  const entry = known.find(one => isKnown(one, path, expected, actual));
  if (entry) {
    found.known.add(entry);
    return;
  }
  if (isBranch(expected) && isBranch(actual) && Array.isArray(expected) === Array.isArray(actual)) {
    const keys = new Set([...Object.keys(expected), ...Object.keys(actual)]);
    for (const key of keys) walk(expected[key], actual[key], path ? `${path} › ${key}` : key, known, found);
    return;
  }
  if (Object.is(expected, actual)) return;
  const [one, two] = clip(show(expected), show(actual));
  found.others.push([path || '(all)', `  direct  ${one}`, `  proxied ${two}`]);
}

const isBranch = value => value !== null && typeof value === 'object';
const show = value => (value === undefined ? '(nothing)' : JSON.stringify(value));

/** Cuts two texts to the surroundings of their first difference. */
function clip(one, two) {
  let same = 0;
  while (same < one.length && same < two.length && one[same] === two[same]) same += 1;
  const from = Math.max(0, same - CONTEXT);
  const cut = text => `${from > 0 ? '…' : ''}${text.slice(from, same + CONTEXT)}${text.length > same + CONTEXT ? '…' : ''}`;
  return [cut(one), cut(two)];
}
