// A server of the 2026-07-28 era made with the published server package. It has one of everything that the era puts on
// the wire, answers the same thing each time, and also serves older clients, statelessly.
import { createServer } from 'node:http';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { acceptedContent, completable, createMcpHandler, fromJsonSchema, inputRequired, inputResponse, McpServer, ResourceTemplate } from '@modelcontextprotocol/server';
import { z } from 'zod';

const text = value => ({ content: [{ type: 'text', text: value }] });
const red = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex').toString('base64');

/** Calls of `slow` that the server saw being cancelled and nobody asked about yet, and the sessions that wait for one. */
let cancelled = 0;
const waiting = [];

function addTools(server) {
  server.registerTool('echo', { description: 'Says it again', inputSchema: z.object({ message: z.string() }) }, ({ message }) => text(message));
  server.registerTool(
    'add',
    { inputSchema: z.object({ a: z.number(), b: z.number() }), outputSchema: z.object({ sum: z.number() }) },
    ({ a, b }) => ({ ...text(String(a + b)), structuredContent: { sum: a + b } }),
  );
  server.registerTool('image', { inputSchema: z.object({}) }, () => ({ content: [{ type: 'image', data: red, mimeType: 'image/png' }] }));
  server.registerTool('fail', { inputSchema: z.object({}) }, () => ({ ...text('it failed'), isError: true }));
  server.registerTool('throw', { inputSchema: z.object({}) }, () => { throw new Error('thrown by the tool'); });
  const regions = { type: 'object', properties: { region: { type: 'string', 'x-mcp-header': 'Region' }, count: { type: 'integer', 'x-mcp-header': 'Count' } } };
  server.registerTool('deploy', { inputSchema: fromJsonSchema(regions) }, ({ region }, ctx) =>
    text(`${region} header=${ctx.http?.req?.headers.get('mcp-param-region')} count=${ctx.http?.req?.headers.get('mcp-param-count')}`));
}

function addLongTools(server) {
  server.registerTool('steps', { inputSchema: z.object({ count: z.number() }) }, async ({ count }, ctx) => {
    const progressToken = ctx.mcpReq._meta?.progressToken;
    for (let step = 1; step <= count; step += 1) {
      await ctx.mcpReq.log('info', { step });
      if (progressToken !== undefined) {
        await ctx.mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress: step, total: count, message: `step ${step}` } });
      }
      // The SDK's client loses progress that it reads from a pipe together with the answer.
      await new Promise(resolve => setTimeout(resolve, 25));
    }
    return text(`${count} steps`);
  });
  server.registerTool('slow', { inputSchema: z.object({}) }, async (_args, ctx) => {
    const progressToken = ctx.mcpReq._meta?.progressToken;
    await ctx.mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress: 1 } });
    await new Promise(resolve => ctx.mcpReq.signal.addEventListener('abort', resolve, { once: true }));
    // The last that came: sessions that gave up are among the others.
    if (waiting.length > 0) waiting.pop()();
    else cancelled += 1;
    return text('nobody reads this');
  });
  server.registerTool('await-cancelled', { inputSchema: z.object({}) }, async () => {
    if (cancelled === 0) await new Promise(resolve => waiting.push(resolve));
    else cancelled -= 1;
    return text('one was cancelled');
  });
}

function addAskingTools(server) {
  const schema = z.object({ name: z.string() });
  server.registerTool('ask', { inputSchema: z.object({}) }, (_args, ctx) => {
    const answer = inputResponse(ctx.mcpReq.inputResponses, 'who');
    if (answer.kind === 'missing') {
      const who = inputRequired.elicit({ message: 'Name?', requestedSchema: { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] } });
      return inputRequired({ inputRequests: { who }, requestState: 'Zm9v+/=' });
    }
    const content = acceptedContent(ctx.mcpReq.inputResponses, 'who', schema);
    return text(`${answer.action} ${content?.name ?? '-'} state=${ctx.mcpReq.requestState()}`);
  });
  server.registerTool('consult', { inputSchema: z.object({}) }, (_args, ctx) => {
    const model = inputResponse(ctx.mcpReq.inputResponses, 'model');
    const roots = inputResponse(ctx.mcpReq.inputResponses, 'roots');
    if (model.kind === 'missing' || roots.kind === 'missing') {
      const messages = [{ role: 'user', content: { type: 'text', text: 'Say hello' } }];
      return inputRequired({ inputRequests: { model: inputRequired.createMessage({ messages, maxTokens: 10 }), roots: inputRequired.listRoots() } });
    }
    return text(`${JSON.stringify(model.result.content)} ${JSON.stringify(roots.roots)}`);
  });
}

function addResourcesAndPrompts(server) {
  server.registerResource('plain', 'test://plain', { mimeType: 'text/plain' }, uri => ({ contents: [{ uri: uri.href, mimeType: 'text/plain', text: 'snow ☃ \u2028 end' }] }));
  server.registerResource('bytes', 'test://bytes', { mimeType: 'application/octet-stream' }, uri => ({ contents: [{ uri: uri.href, blob: red }] }));
  const template = new ResourceTemplate('test://item/{id}', { list: undefined, complete: { id: value => ['1', '10', '2'].filter(id => id.startsWith(value)) } });
  server.registerResource('item', template, {}, (uri, { id }) => ({ contents: [{ uri: uri.href, text: `item ${id}` }] }));
  const argsSchema = z.object({ city: completable(z.string(), value => ['Paris', 'Prague', 'Rome'].filter(city => city.startsWith(value))) });
  server.registerPrompt('weather', { description: 'Asks for the weather', argsSchema }, ({ city }) => ({
    messages: [{ role: 'user', content: { type: 'text', text: `Weather in ${city}?` } }],
  }));
}

/** `stdio` as the argument: on standard input and output instead of a port. */
const onStdio = process.argv[2] === 'stdio';

function makeServer() {
  const capabilities = { logging: {}, tools: { listChanged: true }, resources: { subscribe: true, listChanged: true } };
  const server = new McpServer({ name: 'modern', version: '1.0.0' }, { capabilities, instructions: 'Only for tests.' });
  addTools(server);
  addLongTools(server);
  addAskingTools(server);
  addResourcesAndPrompts(server);
  server.registerTool('touch', { inputSchema: z.object({ uri: z.string() }) }, ({ uri }) => {
    if (onStdio) {
      void server.server.sendResourceUpdated({ uri });
      server.sendToolListChanged();
    } else {
      handler.notify.resourceUpdated(uri);
      handler.notify.toolsChanged();
    }
    return text('touched');
  });
  return server;
}

const handler = onStdio ? serveStdio(makeServer) : createMcpHandler(makeServer);
if (!onStdio) createServer(toNodeHandler(handler)).listen();
