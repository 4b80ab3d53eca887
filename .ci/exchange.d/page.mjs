// Pages that `export` makes, opened in Chromium: they fetch nothing, run nothing, show what peers said as text, filter without a
// script, and stay usable with ten thousand messages.
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { check } from './lib/checks.mjs';
import { MISCHIEF } from './lib/made.mjs';
import { ROOT, exported, recordings } from './lib/program.mjs';

const OPEN_MILLISECONDS = 20_000;

/** Opens a page, with what it asked for and complained of. */
async function opened(chromium, recording, features = []) {
  const path = await exported(recording, 'html');
  const page = await chromium.browser.newPage();
  await page.emulateMediaFeatures(features);
  const asked = [];
  const complaints = [];
  page.on('request', request => asked.push(request.url()));
  page.on('console', message => complaints.push(message.text()));
  page.on('pageerror', error => complaints.push(error.message));
  const url = pathToFileURL(path).href;
  const began = performance.now();
  await page.goto(url, { waitUntil: 'load' });
  return { page, url, asked, complaints, milliseconds: performance.now() - began };
}

const visible = page => page.evaluate(() => [...document.querySelectorAll('main > .i')].filter(row => getComputedStyle(row).display !== 'none').length);

async function press(page, id) {
  await page.evaluate(id => document.querySelector(`.bar label[for="${id}"]`).click(), id);
}

/** Puts pictures of a page into the folder that PICTURES names. */
async function pictures(chromium, recording, name) {
  if (!process.env.PICTURES) return;
  await mkdir(process.env.PICTURES, { recursive: true });
  for (const scheme of ['light', 'dark']) {
    const { page } = await opened(chromium, recording, [{ name: 'prefers-color-scheme', value: scheme }]);
    for (const width of [1280, 420]) {
      await page.setViewport({ width, height: 900 });
      await page.screenshot({ path: join(process.env.PICTURES, `${name}-${scheme}-${width}.png`) });
      await page.evaluate(() => { for (const row of [...document.querySelectorAll('main > .i')].slice(0, 2)) row.open = true; document.querySelector('.bar').scrollIntoView(); });
      await page.screenshot({ path: join(process.env.PICTURES, `${name}-${scheme}-${width}-open.png`) });
      await page.evaluate(() => { for (const row of document.querySelectorAll('[open]')) row.open = false; scrollTo(0, 0); });
    }
    await page.close();
  }
}

export async function checkPages(chromium, { mixed, hostile, open, huge }) {
  console.log('\n== pages');
  for (const recording of [...await recordings(), mixed, hostile, open]) {
    await check(`${basename(recording)} as a page`, async () => {
      const { page, url, asked, complaints } = await opened(chromium, recording);
      await page.evaluate(() => { for (const row of document.querySelectorAll('details')) row.open = true; });
      await page.screenshot();
      assert.deepEqual([asked, complaints], [[url], []], 'what the page asks for, and what the console says');
      assert.equal(await page.evaluate(() => document.scripts.length), 0);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, 'nothing sticks out at the side');
      await page.setViewport({ width: 390, height: 800 });
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, 'nor on a phone');
      await page.close();
    });
  }
  await check('what is out for mischief is only text', async () => {
    const { page } = await opened(chromium, hostile);
    const { owned, images, text } = await page.evaluate(() => ({ owned: globalThis.owned, images: document.querySelectorAll('img, svg, script, iframe, object, [onerror], [onload]').length, text: document.body.textContent }));
    assert.deepEqual([owned, images], [undefined, 0]);
    assert.doesNotMatch(text, /[\u202a-\u202e\u2066-\u2069]/);
    assert.doesNotMatch(text, /[\0-\x08\x0b-\x1f\x7f]/);
    assert.ok(text.includes(MISCHIEF[0]), 'it is there to read');
    await page.close();
  });
  await check('failures come first, lead to their rows, and can be picked', async () => {
    const { page } = await opened(chromium, mixed);
    const all = await visible(page);
    await press(page, 'k-bad');
    const bad = await page.evaluate(() => document.querySelectorAll('main > .bad').length);
    assert.deepEqual([await visible(page), bad > 2, bad < all], [bad, true, true]);
    await press(page, 'k-all');
    assert.equal(await visible(page), all);
    const listed = await page.evaluate(() => document.querySelectorAll('.wrong li').length);
    assert.equal(listed, bad);
    await page.evaluate(() => document.querySelector('.wrong a').click());
    assert.equal(await page.evaluate(() => document.querySelector(':target').closest('.i').open), true, 'the row opens');
    await press(page, 's1');
    const shown = await visible(page);
    assert.ok(shown > 0 && shown < all, `${shown} of ${all} rows are of one session`);
    await page.close();
  });
  await check('the search of the browser finds what is in closed rows', async () => {
    const { page, url } = await opened(chromium, join(ROOT, 'recordings', 'legacy-http.jsonl'));
    await page.close();
    const other = await chromium.browser.newPage();
    await other.goto(`${url}#:~:text=sum%20of%202`);
    await other.waitForFunction(() => document.querySelector('main > .i[open]')?.textContent.includes('The sum of 2 and 3'), { timeout: 10_000 });
    await other.close();
  });
  await check('ten thousand messages', async () => {
    const { page, milliseconds, complaints } = await opened(chromium, huge);
    assert.ok(milliseconds < OPEN_MILLISECONDS, `${milliseconds} ms to open`);
    assert.equal(await visible(page), 5_000);
    const began = performance.now();
    await press(page, 'k-bad');
    assert.equal(await visible(page), 100);
    const filtered = performance.now() - began;
    assert.ok(filtered < 5_000, `${filtered} ms to filter`);
    assert.deepEqual(complaints, []);
    console.log(`        opened in ${Math.round(milliseconds)} ms, filtered in ${Math.round(filtered)} ms`);
    await page.close();
  });
  await pictures(chromium, mixed, 'mixed');
  await pictures(chromium, hostile, 'hostile');
}
