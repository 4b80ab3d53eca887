// Deep comparison of two observations, reported by path.

const SHOWN = 12;
const CONTEXT = 60;

/** The places where `actual` differs from `expected`, each as lines to print; empty if they are the same. */
export function differences(expected, actual) {
  const found = [];
  walk(expected, actual, '', found);
  const lines = found.slice(0, SHOWN).flat();
  if (found.length > SHOWN) lines.push(`… and ${found.length - SHOWN} more`);
  return lines;
}

function walk(expected, actual, path, found) {
  if (isBranch(expected) && isBranch(actual) && Array.isArray(expected) === Array.isArray(actual)) {
    const keys = new Set([...Object.keys(expected), ...Object.keys(actual)]);
    for (const key of keys) walk(expected[key], actual[key], path ? `${path} › ${key}` : key, found);
    return;
  }
  if (Object.is(expected, actual)) return;
  const [one, two] = clip(show(expected), show(actual));
  found.push([path || '(all)', `  direct  ${one}`, `  proxied ${two}`]);
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
