// Archives that `export` makes: valid by the schema, and taken in whole by the Network panel of Chromium.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename } from 'node:path';
import Ajv from 'ajv';
import { check } from './lib/checks.mjs';
import { exported, recordings } from './lib/program.mjs';

const require = createRequire(import.meta.url);

function validator() {
  const ajv = new Ajv({ schemaId: 'auto', allErrors: true });
  ajv.addMetaSchema(require('ajv/lib/refs/json-schema-draft-06.json'));
  ajv.addSchema(Object.values(require('har-schema')));
  return ajv.getSchema('har.json#') ?? ajv.compile(require('har-schema').har);
}

const byTime = (a, b) => Date.parse(a.startedDateTime) - Date.parse(b.startedDateTime);
const near = (a, b) => Math.abs(a - b) < 0.01 || Math.abs(a - b) < 1e-6 * Math.abs(b);

/** What the panel has of an entry is what the archive says. */
function sameEntry(shown, { request, response, time, startedDateTime, ...entry }) {
  const place = `${request.method} ${request.url} at ${startedDateTime}`;
  assert.deepEqual([shown.url, shown.method, shown.status, shown.type], [request.url, request.method, response.status, entry._resourceType], place);
  assert.ok(near(shown.milliseconds, time), `${place}: ${shown.milliseconds} ms, not ${time}`);
  assert.ok(Math.abs(shown.started * 1000 - Date.parse(startedDateTime)) < 1, place);
  assert.equal(shown.requestBody ?? '', request.postData?.text ?? '', place);
  assert.equal(shown.body ?? '', response.content.text ?? '', place);
  if (response.status > 0) assert.equal(shown.transferred, Math.max(response.bodySize, 0), place);
  assert.equal(shown.size, response.content.size || Math.max(response.bodySize, 0), place);
  assert.equal(shown.fields, response.headers.length, place);
  assert.deepEqual(shown.frames, (entry._webSocketMessages ?? []).map(({ type, data }) => ({ type, text: data })), place);
  assert.deepEqual(shown.events, (entry._eventSourceMessages ?? []).map(({ time: at, eventName, data }) => ({ time: at, eventName, data })), place);
  assert.ok(shown.isFinished, place);
}

/** The same for Firefox, which has no place for events and messages. */
function sameInFirefox(shown, { request, response, time, startedDateTime }) {
  const place = `${request.method} ${request.url} at ${startedDateTime}`;
  const expected = [request.url, request.method, response.status, response.content.size, response.bodySize, response.headers.length];
  assert.deepEqual([shown.url, shown.method, shown.status, shown.size, shown.transferred, shown.fields], expected, place);
  assert.ok(near(shown.milliseconds, time), `${place}: ${shown.milliseconds} ms, not ${time}`);
  assert.equal(shown.started, Date.parse(startedDateTime), place);
  assert.deepEqual([shown.requestBody ?? '', shown.body ?? ''], [request.postData?.text ?? '', response.content.text ?? ''], place);
}

export async function checkInFirefox(firefox, made) {
  console.log(`\n== archives in the developer tools of ${firefox.version}`);
  for (const recording of [...await recordings(), ...made]) {
    await check(`${basename(recording)} in Firefox`, async () => {
      const text = await readFile(await exported(recording, 'har'), 'utf8');
      const { entries, isDrawn } = await firefox.importHar(text);
      const expected = JSON.parse(text).log.entries;
      assert.equal(entries.length, expected.length);
      assert.ok(isDrawn, 'rows are drawn');
      entries.forEach((shown, place) => sameInFirefox(shown, expected[place]));
    });
  }
}

export async function checkArchives(chromium, made) {
  console.log(`\n== archives in the developer tools of ${chromium.version}`);
  const isValid = validator();
  const tools = await chromium.openTools();
  for (const recording of [...await recordings(), ...made]) {
    await check(`${basename(recording)} as HAR`, async () => {
      const text = await readFile(await exported(recording, 'har'), 'utf8');
      const archive = JSON.parse(text);
      assert.ok(isValid(archive), JSON.stringify(isValid.errors?.slice(0, 3), null, 1));
      const { entries, rows } = await tools.importHar(text);
      const expected = archive.log.entries.toSorted(byTime);
      assert.equal(entries.length, expected.length);
      assert.equal(rows, expected.length, 'rows of the panel');
      entries.forEach((shown, place) => sameEntry(shown, expected[place]));
      assert.deepEqual(tools.complaints, [], 'the console of the developer tools');
    });
  }
  await tools.close();
}
