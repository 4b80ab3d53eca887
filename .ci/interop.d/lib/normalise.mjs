// Takes out of an observation what differs between any two sessions, and nothing else.

const VOLATILE = [
  [/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, () => '<time>'],
  // The sealed state of the Python SDK's servers.
  [/\bv1\.[\w-]{40,}/g, () => '<state>'],
  [/\b\d{1,2}:\d\d:\d\d [AP]M\b/g, () => '<clock>'],
];
const IDS = /\b(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32})\b/g;
/** Base64 of a text that starts with "Resource ": the everything server puts a clock into these. */
const ENCODED = /UmVzb3VyY2Ug[A-Za-z0-9+/]+=*/g;

/**
 * Normalises observations, `{ part: { name: any JSON value } }`. `replacements` are `[text, text]` pairs for what only
 * this way of connecting brings in: its port and its mount prefix.
 */
export function normalise(observations, replacements) {
  const part = entries => Object.fromEntries(Object.entries(entries).map(([name, value]) => [name, normaliser(replacements)(value)]));
  return Object.fromEntries(Object.entries(observations).map(([name, entries]) => [name, part(entries)]));
}

/**
 * Random ids are numbered by first appearance, so two uses of one id in a value stay visibly the same id. Each value
 * counts for itself: otherwise one id too many would make everything after it look different.
 */
function normaliser(replacements) {
  const ids = new Map();
  const number = id => {
    if (!ids.has(id)) ids.set(id, `<id ${ids.size + 1}>`);
    return ids.get(id);
  };
  const string = value => {
    let done = value.replace(ENCODED, encoded => `base64(${string(Buffer.from(encoded, 'base64').toString())})`);
    for (const [from, to] of replacements) done = done.replaceAll(from, to);
    for (const [pattern, to] of VOLATILE) done = done.replace(pattern, to);
    return done.replace(IDS, number);
  };
  const any = value => {
    if (typeof value === 'string') return string(value);
    if (Array.isArray(value)) return value.map(any);
    if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([key, item]) => [string(key), any(item)]));
    return value;
  };
  return any;
}
