// What becomes of calls that the proxy holds, and what their clients see of it. A session makes the calls, and somebody at
// the desk decides about each by what its argument says.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { callTool } from '../lib/clients.mjs';
import { python } from '../lib/python.mjs';
import { within } from '../lib/time.mjs';

const run = promisify(execFile);

/** What waits for a decision in these sessions. */
export const HELD = '(tool:echo dir:c2s) | (method:notifications/progress $.params.progress=2) | (method:sampling/createMessage dir:s2c)';

const SECONDS = 30;
const TOOLS = {
  everything: { long: ['trigger-long-running-operation', { duration: 0.3, steps: 5 }], free: ['get-sum', { a: 2, b: 3 }], asking: ['trigger-sampling-request', { prompt: 'hello', maxTokens: 5 }] },
  modern: { long: ['steps', { count: 5 }], free: ['add', { a: 2, b: 3 }] },
};
export const toolsOf = server => TOOLS[server.split(' ')[0]];

const hold = ({ id }) => `h${id}`;
const says = expected => ({ text, isError, error }) => (text?.includes(expected) && !isError ? [] : [`expected "${expected}", got ${JSON.stringify({ text, isError, error })}`]);
const fails = (...words) => ({ error, text }) => {
  const told = JSON.stringify(error ?? null);
  return words.every(word => told.includes(word)) ? [] : [`expected an error with ${words.join(', ')}, got ${JSON.stringify({ error, text })}`];
};

/**
 * The calls of `echo`, each with what is decided about it and what its client has to see. Those after which a client may
 * not be able to go on come last.
 */
const STEPS = [
  {
    name: 'edited',
    decide: async (desk, row) => {
      await desk.held('edit', hold(row), '--set', '$.params.arguments.message=another one ☃');
      await desk.held('forward', hold(row));
    },
    is: says('another one ☃'),
  },
  { name: 'forwarded', decide: (desk, row) => desk.held('forward', hold(row)), is: says('forwarded') },
  {
    name: 'answered',
    decide: (desk, row) => desk.held('answer', hold(row), '--result', '{"content":[{"type":"text","text":"by hand, not {{$.params.arguments.message}}"}]}'),
    is: says('by hand, not answered'),
  },
  {
    name: 'tool error',
    decide: (desk, row) => desk.held('refuse', hold(row), '--tool-error', 'not today'),
    is: ({ text, isError, error }) => (isError && text === 'not today' ? [] : [`expected a failed tool, got ${JSON.stringify({ text, isError, error })}`]),
  },
  { name: 'error', decide: (desk, row) => desk.held('refuse', hold(row), '--code', '-32602', '--message', 'no, by hand'), is: fails('-32602', 'no, by hand') },
  { name: 'dropped', decide: (desk, row) => desk.held('drop', hold(row)), is: fails('-33001', 'The proxy dropped this message.') },
  { name: 'status', decide: (desk, row) => desk.held('refuse', hold(row), '--status', '429'), is: fails('429') },
  { name: 'closed', decide: (desk, row) => desk.held('refuse', hold(row), '--close'), is: fails() },
];

/** The steps of a session. `without` are those that mean nothing to a client. */
export const stepsWithout = without => STEPS.filter(({ name }) => !without.includes(name));

/** The second of five notifications waits, and with it all that comes behind it; another call does not. */
async function holdProgress(desk, { beside }) {
  const row = await desk.next();
  await desk.behind(row.id, 4);
  const problems = await beside?.() ?? [];
  await desk.held('forward', hold(row));
  return problems;
}

const inOrder = (seen, expected) => (JSON.stringify(seen) === JSON.stringify(expected) ? [] : [`progress came as ${JSON.stringify(seen)}, expected ${JSON.stringify(expected)}`]);

/** A session of a JavaScript client. Reports what is wrong with each step to `check`. */
export async function heldSession({ client, transport, observer, desk, tools, steps, isOneLane, check }) {
  await client.connect(transport);
  const call = (name, args, options) => callTool(client, { name, arguments: args }, options);
  await progressSession({ transport, desk, tools, call, isOneLane, check });
  if (tools.asking) check('a question of the server that was answered by hand', await asked(desk, call, tools, observer));
  if (!isOneLane) check('answers of calls that were forwarded in another order', await crossed(desk, call));
  for (const step of steps) {
    const calling = outcome(call('echo', { message: step.name }));
    await step.decide(desk, await desk.next());
    check(step.name, step.is(await within(`outcome of "${step.name}"`, calling)));
  }
  await client.close();
}

/** What a server asks its client is answered in the client's place, which does not hear of it. */
async function asked(desk, call, tools, observer) {
  const calling = outcome(call(...tools.asking));
  const row = await desk.nextRow();
  const content = { type: 'text', text: 'answered by hand ☃' };
  await desk.held('answer', hold(row), '--result', JSON.stringify({ model: 'nobody', role: 'assistant', content }));
  const heard = observer.data().inbound['sampling/createMessage'] ?? [];
  return [...says('answered by hand ☃')(await within('result of the call that asks', calling)), ...heard.map(() => 'the client was asked too')];
}

/** Two calls wait; the second goes on first. */
async function crossed(desk, call) {
  const calls = ['first', 'second'].map(message => outcome(call('echo', { message })));
  const rows = [await desk.next(), await desk.next()];
  for (const row of rows.reverse()) {
    await desk.held('edit', hold(row), '--set', `$.params.arguments.message=${row.message.params.arguments.message} edited`);
    await desk.held('forward', hold(row));
  }
  const [first, second] = await within('both answers', Promise.all(calls));
  return [...says('first edited')(first), ...says('second edited')(second)];
}

/** On one lane for all there is, an answer waits too; a client library may drop progress that it reads together with the result. */
async function progressSession({ transport, desk, tools, call, isOneLane, check }) {
  const seen = [];
  const wire = watchProgress(transport);
  const calling = call(...tools.long, { onprogress: ({ progress }) => seen.push(progress) });
  calling.catch(() => {});
  const beside = async () => {
    const { text } = await outcome(call(...tools.free));
    return [...text?.includes('5') ? [] : [`another call came to ${text}`], ...inOrder(wire, [1])];
  };
  const problems = await holdProgress(desk, { beside: isOneLane ? undefined : beside });
  await within('result behind the progress', calling);
  check('progress that waits', [...problems, ...inOrder(wire, [1, 2, 3, 4, 5, 'result']), ...isOneLane ? [] : inOrder(seen.slice(0, 4), [1, 2, 3, 4])]);
}

/** Notes in which order a call's progress and result reach the client. */
function watchProgress(transport) {
  const seen = [];
  const take = transport.onmessage;
  let token;
  transport.onmessage = (message, ...rest) => {
    if (message.method === 'notifications/progress') {
      token = message.params.progressToken;
      seen.push(message.params.progress);
    } else if (message.result && message.id === token) {
      seen.push('result');
      transport.onmessage = take;
    }
    return take(message, ...rest);
  };
  return seen;
}

/** How a call ended, for both generations alike. */
export async function outcome(calling) {
  try {
    const { content, isError = false } = await calling;
    return { text: content?.[0]?.text, isError };
  } catch (error) {
    const causes = [];
    for (let cause = error; cause; cause = cause.cause) causes.push({ name: cause.name, code: cause.code, message: cause.message });
    return { error: causes };
  }
}

/** A session of the Python SDK, in a program that says afterwards what it saw. */
export async function heldPython({ generation, route: { url, command, environment = {} }, kind, mode, desk, tools, steps, check }) {
  const { program, held: script, env } = python(generation);
  const target = command ? ['stdio', ...command] : [kind, url];
  const plan = JSON.stringify({ mode, seconds: SECONDS, long: tools.long, steps: steps.map(({ name }) => name) });
  const session = run(program, [script, plan, ...target], { timeout: 120_000, env: { ...process.env, ...env, ...environment } });
  const ended = session.then(() => null);
  const deciding = (async () => {
    const problems = await holdProgress(desk, {});
    for (const step of steps) {
      // What a client does not survive ends its session.
      const row = await Promise.race([desk.next(), ended]);
      if (row === null) break;
      await step.decide(desk, row);
    }
    return problems;
  })();
  deciding.catch(() => {});
  const { stdout } = await session;
  const { progress, outcomes } = JSON.parse(stdout);
  check('progress that waits', [...await deciding, ...inOrder(progress.slice(0, 4), [1, 2, 3, 4])]);
  for (const step of steps) check(step.name, step.is(outcomes[step.name] ?? outcomes.end ?? {}));
}
