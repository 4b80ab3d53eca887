// One session with the modern server: each feature of the 2026-07-28 era that a client can see. Clients of the legacy
// era run it too, and see the same errors for what their era does not have.
import { callTool, handshake, unknownMethod } from '../lib/clients.mjs';

export async function modern({ client, transport, observer }) {
  const tool = (name, args = {}, options = {}) => callTool(client, { name, arguments: args }, options);

  await observer.step('connect', async () => {
    await client.connect(transport);
    return handshake({ client, transport });
  });
  await observer.step('tools', () => client.listTools());
  await observer.step('prompts', () => client.listPrompts());
  await observer.step('resources', () => client.listResources());
  await observer.step('templates', () => client.listResourceTemplates());
  await tools(tool, observer);
  await rest(client, observer);
  if (client.getProtocolEra?.() === 'modern') await onlyModern(client, tool, observer);
  else await observer.step('ping', () => client.ping());
  await observer.settle();
  await client.close();
}

async function tools(tool, observer) {
  await observer.step('echo', () => tool('echo', { message: 'é "quoted" \\ \u2028 ☃ 😀' }));
  await observer.step('structured', () => tool('add', { a: 0.1, b: 0.2 }));
  await observer.step('image', () => tool('image'));
  await observer.step('failed tool', () => tool('fail'));
  await observer.step('throwing tool', () => tool('throw'));
  await observer.step('unknown tool', () => tool('no-such-tool'));
  await observer.step('bad arguments', () => tool('add', { a: 'one' }));
  await observer.step('mirrored header', () => tool('deploy', { region: 'eu-1', count: 3 }));
  await observer.step('encoded header', () => tool('deploy', { region: ' Zürich ' }));
  await observer.step('progress', note => tool('steps', { count: 4 }, { onprogress: note }));
  await observer.step('parallel calls', () => Promise.all(Array.from({ length: 20 }, (_, n) => tool('echo', { message: `${n}` }))));
  await observer.step('large message', async () => {
    const { content } = await tool('echo', { message: 'ü'.repeat(1024 * 1024) });
    return { length: content[0].text.length };
  });
}

async function rest(client, observer) {
  await observer.step('text resource', () => client.readResource({ uri: 'test://plain' }));
  await observer.step('blob resource', () => client.readResource({ uri: 'test://bytes' }));
  await observer.step('template', () => client.readResource({ uri: 'test://item/1%2F2' }));
  await observer.step('unknown resource', () => client.readResource({ uri: 'test://none' }));
  await observer.step('prompt', () => client.getPrompt({ name: 'weather', arguments: { city: 'Málaga' } }));
  await observer.step('prompt without its argument', () => client.getPrompt({ name: 'weather', arguments: {} }));
  const argument = { name: 'city', value: 'P' };
  await observer.step('completion', () => client.complete({ ref: { type: 'ref/prompt', name: 'weather' }, argument }));
  await observer.step('unknown method', () => unknownMethod(client));
}

async function onlyModern(client, tool, observer) {
  await observer.step('asks the user', () => tool('ask'));
  await observer.step('asks the user, who declines', () => tool('ask'));
  await observer.step('asks for sampling and roots', () => tool('consult'));
  const _meta = { 'io.modelcontextprotocol/logLevel': 'info' };
  await observer.step('log lines', () => client.callTool({ name: 'steps', arguments: { count: 2 }, _meta }));
  await observer.step('the log lines came', () => observer.until('notifications/message', 2));
  await observer.step('cancel', async note => {
    const controller = new AbortController();
    const onprogress = progress => {
      note(progress);
      controller.abort('interop is done with it');
    };
    return tool('slow', {}, { signal: controller.signal, onprogress });
  });
  await observer.step('the server saw the cancel', () => tool('await-cancelled'));
  await subscription(client, tool, observer);
}

async function subscription(client, tool, observer) {
  let listening;
  await observer.step('listen', async () => {
    listening = await client.listen({ toolsListChanged: true, resourceSubscriptions: ['test://plain'] });
    return listening.honoredFilter;
  });
  await observer.step('touch', () => tool('touch', { uri: 'test://plain' }));
  await observer.step('touch something else', () => tool('touch', { uri: 'test://bytes' }));
  await observer.step('changes come', async () => {
    await observer.until('notifications/resources/updated', 1);
    await observer.until('notifications/tools/list_changed', 2);
  });
  await observer.step('stop listening', () => listening?.close());
}
