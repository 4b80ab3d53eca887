// What a client sees: the outcome of each step, what the server sends by itself, and each HTTP exchange.
import { EventEmitter } from 'node:events';
import { Response } from 'undici';
import { embeddedMethods, messages } from './messages.mjs';
import { Late, within } from './time.mjs';

/** Collects the observations of one session. Everything in it is plain data. */
export class Observer {
  steps = {};
  inbound = {};
  exchanges = {};
  #sent = new Set();
  #overPipes = false;
  #over = false;
  #news = new EventEmitter().setMaxListeners(0);

  /**
   * Runs one step and keeps what it returned or threw. A step that hangs is an outcome as well, and so is a client that
   * cannot connect; the steps after it are left out.
   */
  async step(name, run) {
    const events = [];
    const outcome = { events };
    this.steps[name] = outcome;
    if (this.#over) {
      outcome.skipped = true;
      return outcome;
    }
    try {
      outcome.result = plain(await within(`answer to "${name}"`, run(event => events.push(plain(event)))));
    } catch (error) {
      this.#over = error instanceof Late || name === 'connect';
      outcome.error = describe(error);
    }
    return outcome;
  }

  /** Notes a request or notification from the server. Kept by method, in order: methods may use different streams. */
  note(method, params) {
    (this.inbound[method] ??= []).push(plain(params ?? null));
    this.#news.emit('news');
  }

  /** Resolves once `count` messages of this method have come. */
  async until(method, count) {
    await within(`${method} number ${count}`, (async () => {
      while ((this.inbound[method]?.length ?? 0) < count) await new Promise(resolve => this.#news.once('news', resolve));
    })());
  }

  /** Notes a message that the client sends over pipes, where nothing else can be watched. */
  sent({ method }) {
    this.#overPipes = true;
    if (method) this.#sent.add(method);
  }

  /** A `fetch` that keeps status, headers and body bytes of every exchange while the client reads them. */
  watch(fetch) {
    return async (input, init = {}) => {
      const exchange = this.#begin(input, init);
      const response = await fetch(input, init).catch(error => {
        exchange.failed = error.name;
        this.#news.emit('news');
        throw error;
      });
      Object.assign(exchange, { status: response.status, reason: response.statusText, headers: endToEnd(response.headers) });
      const over = how => { exchange.end ??= how; this.#news.emit('news'); };
      if (!response.body) over('complete');
      const body = response.body && watchBody(response.body, exchange, over);
      const copy = new Response(body, { status: response.status, statusText: response.statusText, headers: response.headers });
      Object.defineProperty(copy, 'url', { value: response.url });
      return copy;
    };
  }

  #begin(input, init) {
    const { pathname, search } = new URL(String(input));
    const method = init.method ?? 'GET';
    const sent = messages(init.body ?? '');
    for (const message of sent) if (message.method) this.#sent.add(message.method);
    const [{ id, method: rpc, params } = {}] = sent;
    if (rpc === 'notifications/cancelled') this.#cancelled(params?.requestId);
    const about = sent.map(message => [message.method ?? 'response', message.params?.name].filter(Boolean).join(' ')).join(', ');
    const base = [method, about].filter(Boolean).join(' ');
    let key = base;
    for (let again = 2; key in this.exchanges; again += 1) key = `${base} (${again})`;
    const exchange = { target: pathname + search, id, body: '' };
    this.exchanges[key] = exchange;
    return exchange;
  }

  /** The server may still end the stream of a cancelled call, or leave it open. */
  #cancelled(id) {
    for (const exchange of Object.values(this.exchanges)) if (exchange.id === id) exchange.cancelled = true;
  }

  /** Resolves once every exchange has its head, and its body unless that is a stream: nothing that is compared is cut by `close`. */
  async settle() {
    const isOpen = ({ failed, end, headers }) => !failed && !end && !headers?.some(([name, value]) => name === 'content-type' && value.startsWith('text/event-stream'));
    await within('end of every exchange', (async () => {
      while (Object.values(this.exchanges).some(isOpen)) await new Promise(resolve => this.#news.once('news', resolve));
    })());
  }

  /**
   * The methods of the messages that were on the wire, in both directions. What the client was asked from inside of a
   * result is none; everything else that reached it has to be in a body.
   */
  get methods() {
    // Without a handshake a server asks from inside its results only.
    const isOwn = method => this.#sent.has('initialize') || method.startsWith('notifications/');
    if (this.#overPipes) return new Set([...this.#sent, ...Object.keys(this.inbound).filter(isOwn)]);
    const received = Object.values(this.exchanges).flatMap(({ body }) => messages(body));
    const methods = new Set([...this.#sent, ...received.map(({ method }) => method).filter(Boolean)]);
    const embedded = embeddedMethods(received);
    const unseen = Object.keys(this.inbound).filter(method => !methods.has(method) && !embedded.includes(method));
    if (unseen.length > 0) throw new Error(`reached the client and was in no body: ${unseen.join(', ')}`);
    return methods;
  }

  /** The session as plain data. */
  data() {
    const exchanges = Object.entries(this.exchanges).map(([key, exchange]) => [key, comparable(key, exchange)]);
    return { steps: this.steps, inbound: this.inbound, exchanges: Object.fromEntries(exchanges) };
  }
}

/** Everything but what belongs to one connection, and the value of the date. */
function endToEnd(headers) {
  const perHop = new Set(['connection', 'keep-alive', 'transfer-encoding', 'proxy-connection']);
  return [...headers].filter(([name]) => !perHop.has(name)).map(([name, value]) => [name, name === 'date' ? '<date>' : value]);
}

function watchBody(body, exchange, over) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  return new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        if (done) {
          exchange.body += decoder.decode();
          over('complete');
          controller.close();
        } else {
          exchange.body += decoder.decode(value, { stream: true });
          controller.enqueue(value);
        }
      } catch (error) {
        over(error.name === 'AbortError' ? 'cut' : `broken: ${error.name}`);
        controller.error(error);
      }
    },
    cancel(reason) {
      over('cut');
      return reader.cancel(reason);
    },
  });
}

/** Of a stream that the client cut or cancelled, and of one that lasts as long as the session, only the head: its end is chance. */
function comparable(key, { body, end, ...head }) {
  if (end?.startsWith('broken')) return { ...head, end };
  return end === 'complete' && !head.cancelled && !key.startsWith('GET') ? { ...head, end, body } : head;
}

const plain = value => (value === undefined ? null : JSON.parse(JSON.stringify(value)));

function describe(error) {
  const { name, code, status, message, data } = error;
  return plain({ name, code, status, message, data });
}
