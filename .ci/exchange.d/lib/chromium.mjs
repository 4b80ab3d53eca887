// Chromium without a window, and its developer tools as a page in it, which import archives as the button of their Network panel
// does.
import puppeteer from 'puppeteer-core';

const SETTLED = 60_000;

/** Starts the browser that CHROMIUM names. */
export async function startChromium() {
  const args = ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--remote-allow-origins=*'];
  const browser = await puppeteer.launch({ executablePath: process.env.CHROMIUM, headless: true, args, defaultViewport: { width: 1280, height: 900 }, protocolTimeout: 180_000 });
  return { browser, version: await browser.version(), openTools: () => openTools(browser), close: () => browser.close() };
}

/** Opens a page, and the developer tools for it in another. */
export async function openTools(browser) {
  const inspected = await browser.newPage();
  const { host } = new URL(browser.wsEndpoint());
  const id = inspected.target()._targetId;
  const tools = await browser.newPage();
  const complaints = [];
  tools.on('console', message => { if (['error', 'assert'].includes(message.type())) complaints.push(message.text()); });
  tools.on('pageerror', error => complaints.push(error.message));
  await tools.goto(`devtools://devtools/bundled/devtools_app.html?ws=${host}/devtools/page/${id}&panel=network`);
  await tools.waitForFunction(() => globalThis.UI?.panels?.network, { timeout: SETTLED });
  return {
    inspected,
    tools,
    complaints,
    visit: async (url, what, ...args) => {
      await inspected.goto(url);
      return inspected.evaluate(what, ...args);
    },
    importHar: text => tools.evaluate(importHar, text),
    saveHar: () => tools.evaluate(saveHar),
    close: () => Promise.all([tools.close(), inspected.close()]),
  };
}

/** In the tools: takes an archive in, and tells what the panel has of each entry. */
async function importHar(text) {
  const { NetworkLog } = await import('./models/logs/logs.js');
  const log = NetworkLog.NetworkLog.instance();
  const view = UI.panels.network.networkLogView;
  view.harLoadFailed = reason => { throw new Error(`the panel refuses the archive: ${reason}`); };
  await view.onLoadFromFile(new File([text], 'session.har'));
  await new Promise(resolve => setTimeout(resolve, 300));
  const described = async request => {
    const content = await request.requestContentData();
    if (content.error) throw new Error(content.error);
    return {
      url: request.url(),
      method: request.requestMethod,
      status: request.statusCode,
      type: request.resourceType().name(),
      milliseconds: request.duration * 1000,
      started: request.issueTime(),
      size: request.resourceSize,
      transferred: request.transferSize,
      requestBody: await request.requestFormData(),
      body: content.isTextContent ? content.text : content.base64,
      frames: request.frames().map(({ type, text }) => ({ type, text })),
      events: request.eventSourceMessages().map(({ time, eventName, data }) => ({ time, eventName, data })),
      fields: request.responseHeaders.length,
      isFinished: request.finished,
    };
  };
  const entries = [];
  for (const request of log.requests()) entries.push(await described(request));
  const summary = UI.panels.network.networkLogView.element.querySelector('.network-summary-bar, devtools-toolbar')?.textContent ?? '';
  return { entries, rows: view.rowsCount ?? view.dataGrid.rootNode().flatChildren?.().length ?? view.dataGrid.rootNode().children.length, summary };
}

/** In the tools: what the panel saves as "HAR with sensitive data". */
async function saveHar() {
  const [{ NetworkLog }, { Writer }] = await Promise.all([import('./models/logs/logs.js'), import('./models/har/har.js')]);
  const requests = NetworkLog.NetworkLog.instance().requests();
  let text = '';
  const stream = { write: async more => { text += more; }, close: async () => {} };
  const progress = { createSubProgress: () => progress, isCanceled: () => false, canceled: false, done() {}, setTitle() {}, setTotalWork() {}, setWorked() {}, incrementWorked() {} };
  await Writer.Writer.write(stream, requests, { sanitize: false }, progress);
  return text;
}
