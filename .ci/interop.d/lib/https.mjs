// A server behind TLS, and the proxy that intercepts it: the way of a client that keeps its own https:// URL.
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, ProxyAgent } from 'undici';
import { start } from './children.mjs';

const LISTENING = /listening on http:\/\/(127\.0\.0\.1:\d+)/;

/** The certificate of the authority in `directory`, which is made if there is none. */
async function authorityIn(directory) {
  execFileSync(process.env.SHADOWCAT_BIN, ['ca', '--ca-dir', directory], { stdio: 'ignore' });
  return readFile(join(directory, 'shadowcat-ca.pem'), 'utf8');
}

/**
 * TLS in front of a server. Its certificate is that of an authority of its own, which is enough for clients that do not
 * check it: the proxy is told not to.
 */
async function startFront({ authority }, directory) {
  const cert = await authorityIn(directory);
  const key = await readFile(join(directory, 'shadowcat-ca-key.pem'));
  const [host, port] = authority.split(':');
  const front = createServer({ key, cert }, (asked, answer) => {
    const headers = { ...asked.headers, host: authority };
    const onward = request({ host, port, method: asked.method, path: asked.url, headers }, found => {
      answer.writeHead(found.statusCode, found.statusMessage, found.headers);
      answer.flushHeaders();
      found.pipe(answer);
    });
    onward.once('error', () => answer.destroy());
    answer.once('close', () => onward.destroy());
    asked.pipe(onward);
  });
  await new Promise(resolve => front.listen(0, '127.0.0.1', resolve));
  return { port: front.address().port, stop: () => { front.closeAllConnections(); front.close(); } };
}

/**
 * Starts TLS in front of `server` and the proxy. The result has the `url` that clients use, a `dispatcher` that goes
 * through the proxy and believes it, the `address` of the proxy, its `recording`, and `close()` as other routes have.
 */
export async function intercepted(server) {
  const directory = await mkdtemp(join(tmpdir(), 'shadowcat-https-'));
  const front = await startFront(server, join(directory, 'server'));
  const recording = join(directory, 'session.jsonl');
  const caDir = join(directory, 'ca');
  const args = ['--listen', '127.0.0.1:0', '--headless', '--format', 'json', `--record=${recording}`, '--ca-dir', caDir, '--insecure', 'localhost'];
  const child = await start('the proxy', process.env.SHADOWCAT_BIN, args, { ready: LISTENING });
  const address = child.match[1];
  const ca = await authorityIn(caDir);
  const dispatcher = new ProxyAgent({ uri: `http://${address}`, requestTls: { ca } });
  return {
    url: `https://localhost:${front.port}${server.path}`,
    dispatcher,
    address,
    caDir,
    recording,
    close: async () => {
      await dispatcher.destroy();
      const end = await child.stop();
      front.stop();
      return { end, lines: child.lines, errors: child.errors };
    },
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

/** The same server over TLS without the proxy, for a client that checks no certificate. */
export const unchecked = () => new Agent({ connect: { rejectUnauthorized: false } });
