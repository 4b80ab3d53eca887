// One long session with the everything server: each feature of the legacy era that a client can see.
import { callTool, handshake, unknownMethod } from '../lib/clients.mjs';

const LARGE = 2 * 1024 * 1024;
const PARALLEL = 20;

export async function everything({ client, transport, observer }) {
  const tool = options => (name, args = {}) => callTool(client, { name, arguments: args }, options);

  await observer.step('connect', async () => {
    await client.connect(transport);
    return handshake({ client, transport });
  });
  await observer.step('roots are asked for', async () => {
    await observer.until('roots/list', 1);
    await observer.until('notifications/message', 1);
  });
  await lists(client, observer);
  await plainTools(tool({}), observer);
  await observer.step('progress', note => {
    // The server sends the last one together with the result, and then the first generation of the client may drop it.
    const onprogress = progress => progress.progress < progress.total && note(progress);
    return tool({ onprogress })('trigger-long-running-operation', { duration: 0.3, steps: 3 });
  });
  await askingTools(tool({}), observer);
  await observer.step('parallel calls', () => Promise.all(Array.from({ length: PARALLEL }, (_, n) => tool({})('get-sum', { a: n, b: 0.5 }))));
  await observer.step('large message', async () => {
    const { content } = await tool({})('echo', { message: 'ü'.repeat(LARGE / 2) });
    return { length: content[0].text.length, tail: content[0].text.slice(-3) };
  });
  await prompts(client, observer);
  await resources(client, observer, tool({}));
  await observer.step('unknown method', () => unknownMethod(client));
  await cancel(tool, observer);
  await observer.step('ping at the end', () => client.ping());
  await observer.settle();
  await observer.step('end of session', () => transport.terminateSession?.());
  await client.close();
}

async function lists(client, observer) {
  await observer.step('ping', () => client.ping());
  await observer.step('tools', () => client.listTools());
  await observer.step('prompts', () => client.listPrompts());
  await observer.step('resources', () => client.listResources());
  await observer.step('templates', () => client.listResourceTemplates());
}

async function plainTools(tool, observer) {
  await observer.step('echo', () => tool('echo', { message: 'é "quoted" \\ \u2028 \u0000 ☃ 😀' }));
  await observer.step('numbers', () => tool('get-sum', { a: 1e21, b: -0.1 }));
  await observer.step('structured', () => tool('get-structured-content', { location: 'Chicago' }));
  await observer.step('image', () => tool('get-tiny-image'));
  await observer.step('annotations', () => tool('get-annotated-message', { messageType: 'error', includeImage: true }));
  await observer.step('links', () => tool('get-resource-links', { count: 4 }));
  await observer.step('text reference', () => tool('get-resource-reference', { resourceType: 'Text', resourceId: 3 }));
  await observer.step('blob reference', () => tool('get-resource-reference', { resourceType: 'Blob', resourceId: 4 }));
  await observer.step('unknown tool', () => tool('no-such-tool'));
  await observer.step('bad arguments', () => tool('get-sum', { a: 'one' }));
}

async function askingTools(tool, observer) {
  await observer.step('roots', () => tool('get-roots-list'));
  await observer.step('sampling', () => tool('trigger-sampling-request', { prompt: 'hello', maxTokens: 5 }));
  for (const action of ['accepted', 'declined', 'cancelled']) await observer.step(`elicitation ${action}`, () => tool('trigger-elicitation-request'));
  const url = { url: 'https://example.com/consent', elicitationId: 'interop-1' };
  await observer.step('url elicitation', () => tool('trigger-url-elicitation', url));
  await observer.step('url elicitation by error', () => tool('trigger-url-elicitation', { ...url, errorPath: true }));
}

async function prompts(client, observer) {
  await observer.step('simple prompt', () => client.getPrompt({ name: 'simple-prompt' }));
  await observer.step('prompt with arguments', () => client.getPrompt({ name: 'args-prompt', arguments: { city: 'Zürich', state: 'ZH' } }));
  await observer.step('prompt without its argument', () => client.getPrompt({ name: 'args-prompt', arguments: {} }));
  await observer.step('prompt with resource', () => client.getPrompt({ name: 'resource-prompt', arguments: { resourceType: 'Text', resourceId: '2' } }));
  await observer.step('unknown prompt', () => client.getPrompt({ name: 'no-such-prompt' }));
  const ref = { type: 'ref/prompt', name: 'completable-prompt' };
  await observer.step('completion', () => client.complete({ ref, argument: { name: 'department', value: 'S' } }));
  await observer.step('completion in context', () => client.complete({ ref, argument: { name: 'name', value: '' }, context: { arguments: { department: 'Sales' } } }));
  const template = { type: 'ref/resource', uri: 'demo://resource/dynamic/text/{resourceId}' };
  await observer.step('completion of a template', () => client.complete({ ref: template, argument: { name: 'resourceId', value: '7' } }));
}

async function resources(client, observer, tool) {
  await observer.step('static resource', () => client.readResource({ uri: 'demo://resource/static/document/instructions.md' }));
  await observer.step('text resource', () => client.readResource({ uri: 'demo://resource/dynamic/text/5' }));
  await observer.step('blob resource', () => client.readResource({ uri: 'demo://resource/dynamic/blob/6' }));
  await observer.step('unknown resource', () => client.readResource({ uri: 'demo://resource/none' }));
  await observer.step('log level', () => client.setLoggingLevel('info'));
  const uri = 'demo://resource/dynamic/text/1';
  await observer.step('subscribe', () => client.subscribeResource({ uri }));
  await observer.step('updates on', () => tool('toggle-subscriber-updates'));
  await observer.step('an update comes', () => observer.until('notifications/resources/updated', 1));
  await observer.step('updates off', () => tool('toggle-subscriber-updates'));
  await observer.step('unsubscribe', () => client.unsubscribeResource({ uri }));
  const file = { name: 'hello.gz', data: 'data:text/plain,hello', outputType: 'resourceLink' };
  await observer.step('session resource', () => tool('gzip-file-as-resource', file));
  await observer.step('the list changed', () => observer.until('notifications/resources/list_changed', 1));
  await observer.step('read session resource', () => client.readResource({ uri: 'demo://resource/session/hello.gz' }));
}

async function cancel(tool, observer) {
  await observer.step('cancel', async note => {
    const controller = new AbortController();
    const onprogress = progress => {
      if (controller.signal.aborted) return;
      note(progress);
      controller.abort('interop is done with it');
    };
    return tool({ signal: controller.signal, onprogress })('trigger-long-running-operation', { duration: 1, steps: 5 });
  });
}
