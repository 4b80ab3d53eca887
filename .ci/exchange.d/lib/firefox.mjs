// Firefox without a window, and its developer tools, which are driven through Marionette: they import archives, and save them, by
// the functions that their Network panel calls.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { within } from '../../interop.d/lib/time.mjs';
import { newFile } from './program.mjs';

const START_MILLISECONDS = 120_000;
const PREFERENCES = {
  'marionette.port': 0,
  'app.update.disabledForTesting': true,
  'browser.shell.checkDefaultBrowser': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'toolkit.telemetry.reportingpolicy.firstRun': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'browser.safebrowsing.update.enabled': false,
  'services.settings.server': 'data:,none',
};

/** The protocol: a length, a colon, and JSON; each command is answered by one with its number. */
class Marionette {
  #socket;
  #bytes = Buffer.alloc(0);
  #waiting = new Map();
  #last = 0;
  constructor(socket) {
    this.#socket = socket.on('data', chunk => this.#read(chunk)).on('error', () => {});
  }
  #read(chunk) {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    for (;;) {
      const colon = this.#bytes.indexOf(':');
      const end = colon + 1 + Number(this.#bytes.subarray(0, Math.max(colon, 0)));
      if (colon < 0 || this.#bytes.length < end) return;
      const message = JSON.parse(this.#bytes.subarray(colon + 1, end));
      this.#bytes = this.#bytes.subarray(end);
      if (!Array.isArray(message)) continue;
      const [, number, error, result] = message;
      const { resolve, reject } = this.#waiting.get(number);
      if (error) reject(new Error(`${error.message}\n${error.stacktrace}`));
      else resolve(result);
    }
  }
  send(command, parameters = {}) {
    const number = this.#last += 1;
    const text = JSON.stringify([0, number, command, parameters]);
    this.#socket.write(`${Buffer.byteLength(text)}:${text}`);
    return within(`answer to ${command}`, new Promise((resolve, reject) => this.#waiting.set(number, { resolve, reject })), 60_000);
  }
  /** Runs an asynchronous function with the rights of the browser itself. */
  async run(what, ...args) {
    const script = `const done = arguments[arguments.length - 1]; (${what})(...[...arguments].slice(0, -1)).then(value => done({ value }), error => done({ error: String(error) + error.stack }))`;
    const { value: { value, error } } = await this.send('WebDriver:ExecuteAsyncScript', { script, args, newSandbox: true });
    if (error) throw new Error(error);
    return value;
  }
  close() {
    this.#socket.destroy();
  }
}

async function portOf(profile) {
  for (;;) {
    const port = Number(await readFile(join(profile, 'MarionetteActivePort'), 'utf8').catch(() => 0));
    if (port) return port;
    await new Promise(resolve => setTimeout(resolve, 100));
  }
}

/** Starts the browser that FIREFOX names, with the Network panel of its tools open. */
export async function startFirefox() {
  const profile = newFile('firefox');
  await mkdir(profile);
  const lines = Object.entries(PREFERENCES).map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`);
  await writeFile(join(profile, 'user.js'), lines.join(''));
  const args = ['--headless', '--marionette', '--remote-allow-system-access', '--profile', profile, 'about:blank'];
  const child = spawn(process.env.FIREFOX, args, { stdio: 'ignore', env: { ...process.env, HOME: profile } });
  const ended = once(child, 'close');
  const marionette = new Marionette(connect(await within('start of Firefox', portOf(profile), START_MILLISECONDS), '127.0.0.1'));
  const { capabilities } = await marionette.send('WebDriver:NewSession', { capabilities: {} });
  await marionette.send('WebDriver:SetTimeouts', { script: 50_000 });
  await marionette.send('Marionette:SetContext', { value: 'chrome' });
  await marionette.run(openTools);
  return {
    version: `Firefox ${capabilities.browserVersion}`,
    importHar: text => marionette.run(importHar, text),
    saveHar: () => marionette.run(saveHar),
    /** Opens a page and calls an asynchronous function in it. */
    visit: async (url, what, ...args) => {
      await marionette.send('Marionette:SetContext', { value: 'content' });
      await marionette.send('WebDriver:Navigate', { url });
      const value = await marionette.run(what, ...args);
      await marionette.send('Marionette:SetContext', { value: 'chrome' });
      return value;
    },
    close: async () => {
      await marionette.send('Marionette:Quit', { flags: ['eForceQuit'] }).catch(() => {});
      marionette.close();
      child.kill('SIGKILL');
      await ended;
    },
  };
}

async function openTools() {
  const { require } = ChromeUtils.importESModule('resource://devtools/shared/loader/Loader.sys.mjs');
  const { gDevTools } = require('resource://devtools/client/framework/devtools.js');
  const window = Services.wm.getMostRecentWindow('navigator:browser');
  window.toolboxOfTests = await gDevTools.showToolboxForTab(window.gBrowser.selectedTab, { toolId: 'netmonitor' });
}

/** Takes an archive in, and tells what the panel has of each entry, and how many rows it draws. */
async function importHar(text) {
  const window = Services.wm.getMostRecentWindow('navigator:browser');
  const { actions, store, windowRequire, document } = window.toolboxOfTests.getCurrentPanel().panelWin;
  const { HarImporter } = windowRequire('devtools/client/netmonitor/src/har/har-importer');
  new HarImporter(actions).import(text);
  await new Promise(resolve => window.setTimeout(resolve, 500));
  const entries = store.getState().requests.requests.map(request => ({
    method: request.method,
    url: request.url,
    status: request.status,
    milliseconds: request.totalTime,
    started: request.startedMs,
    size: request.contentSize,
    transferred: request.transferredSize,
    requestBody: request.requestPostData.postData.text,
    body: request.responseContent.content.text,
    fields: request.responseHeaders.headers.length,
  }));
  return { entries, isDrawn: document.querySelectorAll('.request-list-item').length > 0 };
}

/** What "Save All As HAR" makes of the requests that the panel has seen. */
async function saveHar() {
  const window = Services.wm.getMostRecentWindow('navigator:browser');
  const { store, connector, windowRequire } = window.toolboxOfTests.getCurrentPanel().panelWin;
  const { HarExporter } = windowRequire('devtools/client/netmonitor/src/har/har-exporter');
  const { getSortedRequests } = windowRequire('devtools/client/netmonitor/src/selectors/index');
  // The panel learns of requests some time after they were made.
  const count = () => store.getState().requests.requests.filter(({ totalTime }) => totalTime !== undefined).length;
  for (let before = -1; before !== count();) {
    before = count();
    await new Promise(resolve => window.setTimeout(resolve, 2_000));
  }
  const har = await HarExporter.getHar({ connector, items: getSortedRequests(store.getState()), includeResponseBodies: true });
  return typeof har === 'string' ? har : JSON.stringify(har);
}
