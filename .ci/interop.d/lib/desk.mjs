// Somebody who decides about the messages that a proxy without a screen holds, with the command `held` and nothing else.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { until } from './time.mjs';

const run = promisify(execFile);
const BIN = process.env.SHADOWCAT_BIN;

/** What the proxy needs to be told so that messages wait that match `when`. */
export const holding = when => ['--wait', '--intercept', when];

export class Desk {
  #route;
  #read = 0;

  constructor(route) {
    this.#route = route;
  }

  /** Runs `held`; resolves to what it prints. The proxy's door opens a moment after its port. */
  async held(task, ...rest) {
    const { stdout } = await run(BIN, ['held', task, '--connect', this.#route.proxy, ...rest], { timeout: 30_000 });
    return stdout;
  }

  async list() {
    return JSON.parse(await this.held('list', '--format', 'json'));
  }

  /** Resolves once `held` finds the proxy. */
  open() {
    return until('control door', () => this.list().catch(() => null));
  }

  /** The next line of the proxy that says that a message waits at the head of its lane. */
  async nextRow() {
    const { at, row } = await this.#line('held message', this.#read, ({ event }) => event === 'held');
    this.#read = at + 1;
    return row;
  }

  /** The same with the message itself. */
  async next() {
    const row = await this.nextRow();
    const shown = JSON.parse(await this.held('show', `h${row.id}`, '--format', 'json'));
    return { ...row, message: JSON.parse(shown.original) };
  }

  /** What became of a message, once that is known. */
  async decided(id) {
    const { row } = await this.#line(`decision about h${id}`, 0, line => line.event === 'decided' && line.id === id);
    return row;
  }

  /** Resolves once `count` messages wait behind this one. */
  behind(id, count) {
    return until(`${count} messages behind h${id}`, async () => (await this.list()).find(row => row.id === id && row.queued_behind >= count));
  }

  async #line(what, from, isIt) {
    const at = await this.#route.heard(what, from, line => isIt(JSON.parse(line)));
    return { at, row: JSON.parse(this.#route.lines[at]) };
  }
}
