// The proxy as a child that says on stdout what passed.
import { start } from '../../interop.d/lib/children.mjs';
import { PROXY } from './programs.mjs';

const LISTENING = /listening on http:\/\/(127\.0\.0\.1:\d+)/;

/** Starts the proxy; the result has its `authority`, and `stop()` resolves to the `rows` that it printed and its `end`. */
export async function startProxy(options, command = []) {
  const args = ['--listen', '127.0.0.1:0', '--headless', '--format', 'json', ...options, ...(command.length > 0 ? ['--', ...command] : [])];
  const child = await start('the proxy', PROXY, args, { ready: LISTENING });
  const stop = async () => {
    const end = await child.stop();
    return { end, rows: child.lines.map(line => JSON.parse(line)), errors: child.errors };
  };
  return { authority: child.match[1], stop };
}
