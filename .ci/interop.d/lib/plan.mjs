// What a survey tries with a server that it does not know: `plan.json`, and here how arguments are made up. `plan.py` and the
// client of the Rust SDK do the same.
import { readFileSync } from 'node:fs';

const PLAN = JSON.parse(readFileSync(new URL('../plan.json', import.meta.url), 'utf8'));

export const LARGE = PLAN.large;
export const PARALLEL = PLAN.parallel;

/**
 * Tools that go on after their call or never end, ask the network, or tell of the process they are in. The last one has no
 * answer for these SDKs over HTTP, with or without the proxy, and their session does not go on after it.
 */
export const LEFT_OUT = new Set([...PLAN.leftOut, 'test_reconnection']);

/** What a server sends by itself once a session begins: other steps wait for it. */
export const greetings = name => PLAN.greetings[name] ?? [];

/** The call of a server with these tools that is cancelled: one that tells of progress first. */
export const cancelledOf = names => PLAN.cancelled.find(({ tool, witness = tool }) => names.includes(tool) && names.includes(witness));

/** A value for a schema: the first that it names, or a small one of its type. */
function given(schema = {}) {
  if (schema.enum) return schema.enum[0];
  if ('default' in schema) return schema.default;
  const [choice] = schema.oneOf ?? schema.anyOf ?? [];
  if (choice) return choice.const ?? given(choice);
  const { minimum = 1 } = schema;
  if (schema.type === 'array') return Array.from({ length: schema.minItems ?? 0 }, () => given(schema.items));
  return { string: 'x', integer: minimum, number: minimum, boolean: true }[schema.type] ?? {};
}

/** The arguments a tool is called with: what it requires. */
export const argumentsFor = (name, { properties = {}, required = [] }) => PLAN.arguments[name] ?? Object.fromEntries(required.map(key => [key, given(properties[key])]));
