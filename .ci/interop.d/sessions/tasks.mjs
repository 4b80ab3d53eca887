// A tool call as a task of the legacy era, which only the first generation of the library speaks.
import { handshake } from '../lib/clients.mjs';

export async function tasks({ client, transport, observer }) {
  await observer.step('connect', async () => {
    await client.connect(transport);
    return handshake({ client, transport });
  });
  await observer.step('tools', () => client.listTools());
  await observer.step('task', async note => {
    const call = { name: 'simulate-research-query', arguments: { topic: 'cats' } };
    // How often the client polls is chance; how the task begins and ends is not.
    for await (const state of client.experimental.tasks.callToolStream(call, undefined, { task: { ttl: 60_000 } })) {
      if (state.type !== 'taskStatus') note({ type: state.type, result: state.result, error: state.error?.message });
    }
  });
  await observer.step('tasks', async () => (await client.experimental.tasks.listTasks()).tasks.map(({ status }) => status));
  await observer.step('end of session', () => transport.terminateSession?.());
  await client.close();
}
