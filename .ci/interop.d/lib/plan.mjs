// What a survey tries with a server that it does not know. `plan.py` has the same.

export const LARGE = 256 * 1024;
export const PARALLEL = 20;

/** Tools that go on after their call or never end, ask the network, or tell of the process they are in. */
export const LEFT_OUT = new Set([
  'get-env',
  'simulate-research-query',
  'slow',
  'wait',
  'await-cancelled',
  'toggle-simulated-logging',
  'toggle-subscriber-updates',
  'trigger-sampling-request-async',
  'trigger-elicitation-request-async',
]);

const ARGUMENTS = {
  'trigger-long-running-operation': { duration: 0.3, steps: 3 },
  'gzip-file-as-resource': { name: 'hello.gz', data: 'data:text/plain,hello', outputType: 'resourceLink' },
  'get-structured-content': { location: 'Chicago' },
  'trigger-url-elicitation': { url: 'https://example.com/consent', elicitationId: 'survey-1' },
};

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
export const argumentsFor = (name, { properties = {}, required = [] }) => ARGUMENTS[name] ?? Object.fromEntries(required.map(key => [key, given(properties[key])]));
