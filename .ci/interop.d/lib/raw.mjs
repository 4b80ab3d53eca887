// Plain HTTP/1.1, with nothing added, so that heads and bytes can be compared as they are.
import { createHash } from 'node:crypto';
import { request } from 'node:http';
import { within } from './time.mjs';

/** Longer bodies are compared by digest: no ids may be in them. */
const LONG = 64 * 1024;
const PER_HOP = new Set(['connection', 'keep-alive', 'transfer-encoding', 'proxy-connection', 'date']);

/** Name and value pairs of a raw head, without what belongs to one connection or to the moment. */
export function pairs(raw) {
  const all = Array.from({ length: raw.length / 2 }, (_, index) => [raw[2 * index], raw[2 * index + 1]]);
  return all.filter(([name]) => !PER_HOP.has(name.toLowerCase()));
}

/** How a head says that its body ends, and whether it has a date. */
export const framing = ({ 'transfer-encoding': coding, 'content-length': length, date }) => ({ body: coding ?? (length === undefined ? 'none' : 'length'), dated: date !== undefined });

/** Bytes as comparable data: text if they are text, else base64; a digest if they are many. */
export function bytes(buffer) {
  if (buffer.length > LONG) return { length: buffer.length, sha256: createHash('sha256').update(buffer).digest('base64') };
  const text = buffer.toString();
  return Buffer.from(text).equals(buffer) ? text : { base64: buffer.toString('base64') };
}

/**
 * Sends a request and resolves to its exchange once the head of the answer is there.
 *
 * `headers` are pairs and go out as they are, after `Host`. A `body` is framed by its length, or chunked if it is an
 * array. With `expect`, the body waits for the interim answer. `onSent` gets the request once it is written.
 */
export async function open(route, { method = 'GET', target, headers = [], body, expect = false, onSent }) {
  const all = [['Host', route.host], ...headers];
  if (Array.isArray(body)) all.push(['Transfer-Encoding', 'chunked']);
  else if (body !== undefined) all.push(['Content-Length', String(Buffer.byteLength(body))]);
  if (expect) all.push(['Expect', '100-continue']);
  const outgoing = request({ ...await transport(route), ...route.options(target), method, headers: all.flat() });
  const answer = new Promise((resolve, reject) => outgoing.once('response', resolve).once('error', reject));
  answer.catch(() => {});
  if (expect) {
    outgoing.flushHeaders();
    await within('100 Continue', new Promise((resolve, reject) => outgoing.once('continue', resolve).once('error', reject)));
  }
  for (const chunk of [body ?? []].flat()) outgoing.write(chunk);
  outgoing.end();
  onSent?.(outgoing);
  return new Exchange(outgoing, await within(`head of ${method} ${target}`, answer));
}

/** A connection of its own for each request; an agent would not use the tunnel. */
export async function transport(route) {
  const socket = await route.tunnel?.();
  return socket ? { createConnection: () => socket } : { agent: false };
}

/** Sends a request and resolves to everything about its answer, as plain data. */
export async function ask(route, about) {
  const exchange = await open(route, about);
  await exchange.end();
  return exchange.data();
}

class Exchange {
  #outgoing;
  #response;
  #chunks = [];
  #wake = () => {};
  ended;

  constructor(outgoing, response) {
    this.#outgoing = outgoing;
    this.#response = response;
    const over = how => { this.ended ??= how; this.#wake(); };
    response.on('data', chunk => { this.#chunks.push(chunk); this.#wake(); });
    response.once('end', () => over('complete')).once('error', () => over('broken')).once('close', () => over('broken'));
    outgoing.on('error', () => over('broken'));
  }

  head() {
    const { statusCode, statusMessage, rawHeaders, headers, httpVersion } = this.#response;
    return { status: statusCode, reason: statusMessage, version: httpVersion, headers: pairs(rawHeaders), framing: framing(headers) };
  }

  data() {
    return { ...this.head(), body: bytes(this.body()), trailers: pairs(this.#response.rawTrailers), end: this.ended };
  }

  body() {
    return Buffer.concat(this.#chunks);
  }

  header(name) {
    return this.#response.headers[name];
  }

  /** Resolves once the body so far contains `text`. */
  async until(text) {
    await within(`"${text}" in the body`, (async () => {
      while (!this.body().includes(text)) {
        if (this.ended) throw new Error(`the body ended without "${text}": ${this.body().toString().slice(0, 200)}`);
        await new Promise(resolve => { this.#wake = resolve; });
      }
    })());
  }

  /** Resolves once the body is over, one way or the other. */
  async end() {
    await within('end of the body', (async () => {
      while (!this.ended) await new Promise(resolve => { this.#wake = resolve; });
    })());
  }

  /** Goes away in the middle. */
  cut() {
    this.#outgoing.destroy();
  }
}
