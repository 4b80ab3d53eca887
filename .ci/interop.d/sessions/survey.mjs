// A session that tries everything a server says it has, whichever server it is. `survey.py` does the same in Python.
import { callTool, handshake, unknownMethod } from '../lib/clients.mjs';
import { argumentsFor, cancelledOf, greetings, LARGE, LEFT_OUT, PARALLEL } from '../lib/plan.mjs';

export async function survey({ client, transport, observer }) {
  await observer.step('connect', async () => {
    await client.connect(transport);
    return handshake({ client, transport });
  });
  const isLegacy = client.getProtocolEra?.() !== 'modern';
  if (isLegacy) {
    await observer.step('greetings', () => Promise.all(greetings(client.getServerVersion()?.name).map(method => observer.until(method, 1))));
    await observer.step('ping', () => client.ping());
    await observer.step('log level', () => client.setLoggingLevel('info'));
  }
  const names = await tools(client, observer);
  await prompts(client, observer);
  await resources(client, observer, isLegacy);
  await cancel(client, observer, cancelledOf(names));
  if (isLegacy) {
    // In the other era HTTP answers 404 to it, which a client over pipes cannot see.
    await observer.step('unknown method', () => unknownMethod(client));
    await observer.step('ping at the end', () => client.ping());
  }
  await observer.settle();
  await observer.step('end of session', () => transport.terminateSession?.());
  await client.close();
}

async function tools(client, observer) {
  const { result } = await observer.step('tools', () => client.listTools());
  for (const { name, inputSchema } of result?.tools ?? []) {
    if (LEFT_OUT.has(name)) continue;
    await observer.step(`tool ${name}`, note => {
      // The last one may come together with the result, and is then dropped or not.
      const onprogress = ({ progress, total, message }) => progress < total && note({ progress, total, message });
      return callTool(client, { name, arguments: argumentsFor(name, inputSchema) }, { onprogress });
    });
  }
  await observer.step('unknown tool', () => callTool(client, { name: 'no-such-tool', arguments: {} }));
  const names = result?.tools.map(({ name }) => name) ?? [];
  if (names.includes('echo')) await largeAndParallel(client, observer);
  return names;
}

async function largeAndParallel(client, observer) {
  const echo = message => callTool(client, { name: 'echo', arguments: { message } });
  await observer.step('large message', async () => ({ length: (await echo('ü'.repeat(LARGE))).content[0].text.length }));
  await observer.step('parallel calls', () => Promise.all(Array.from({ length: PARALLEL }, (_, number) => echo(`number ${number}`))));
}

async function prompts(client, observer) {
  const { result } = await observer.step('prompts', () => client.listPrompts());
  for (const { name, arguments: wanted = [] } of result?.prompts ?? []) {
    await observer.step(`prompt ${name}`, () => client.getPrompt({ name, arguments: Object.fromEntries(wanted.map(argument => [argument.name, 'x'])) }));
    for (const argument of wanted) {
      const ref = { type: 'ref/prompt', name };
      await observer.step(`completion ${name} ${argument.name}`, () => client.complete({ ref, argument: { name: argument.name, value: 'S' } }));
    }
  }
  await observer.step('unknown prompt', () => client.getPrompt({ name: 'no-such-prompt', arguments: {} }));
}

async function resources(client, observer, isLegacy) {
  const { result } = await observer.step('resources', () => client.listResources());
  await observer.step('templates', () => client.listResourceTemplates());
  for (const { uri } of result?.resources ?? []) await observer.step(`resource ${uri}`, () => client.readResource({ uri }));
  await observer.step('unknown resource', () => client.readResource({ uri: 'test://none' }));
  const uri = result?.resources[0]?.uri;
  if (!isLegacy || !uri) return;
  await observer.step('subscribe', () => client.subscribeResource({ uri }));
  await observer.step('unsubscribe', () => client.unsubscribeResource({ uri }));
}

/** Cancels a call once it runs, and has the server say that it saw it if it can. */
async function cancel(client, observer, chosen) {
  if (!chosen) return;
  await observer.step('cancel', () => {
    const controller = new AbortController();
    const onprogress = () => controller.abort('the survey is done with it');
    return callTool(client, { name: chosen.tool, arguments: chosen.arguments ?? {} }, { signal: controller.signal, onprogress });
  });
  if (chosen.witness) await observer.step('the server saw the cancel', () => callTool(client, { name: chosen.witness, arguments: {} }));
}
