// Diagrams that `export` makes: each is taken by the parser of Mermaid itself, drawn in Chromium, and shows each message once.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { check } from './lib/checks.mjs';
import { exported, recordings } from './lib/program.mjs';

const MERMAID = join(dirname(createRequire(import.meta.url).resolve('mermaid')), 'mermaid.min.js');
const MOST = 400;

/** In the page: the type of the diagram, and the texts of its arrows as they are drawn. */
async function drawn(text) {
  const { diagramType } = await mermaid.parse(text);
  const { svg } = await mermaid.render(`d${Math.random().toString(36).slice(2)}`, text);
  const parsed = new DOMParser().parseFromString(svg, 'text/html');
  const texts = name => [...parsed.querySelectorAll(name)].map(({ textContent }) => textContent);
  return { diagramType, arrows: texts('.messageText'), actors: new Set(texts('text.actor')).size, scripts: parsed.querySelectorAll('script, img, foreignObject a').length, owned: globalThis.owned };
}

export async function checkDiagrams(chromium, made) {
  console.log('\n== diagrams by Mermaid');
  const page = await chromium.browser.newPage();
  await page.addScriptTag({ path: MERMAID });
  await page.evaluate(() => mermaid.initialize({ startOnLoad: false, securityLevel: 'strict' }));
  for (const recording of [...await recordings(), ...made]) {
    await check(`${basename(recording)} as diagrams`, async () => {
      const text = await readFile(await exported(recording, 'mermaid'), 'utf8');
      const diagrams = [...text.matchAll(/^```mermaid\n(.*?)^```$/gms)].map(([, diagram]) => diagram);
      const messages = (await readFile(await exported(recording, 'jsonl'), 'utf8')).trim().split('\n').map(line => JSON.parse(line));
      const counts = new Map();
      for (const { session } of messages) counts.set(session, (counts.get(session) ?? 0) + 1);
      const found = [];
      for (const diagram of diagrams) {
        const { diagramType, arrows, actors, scripts, owned } = await page.evaluate(drawn, diagram);
        assert.deepEqual([diagramType, actors, scripts, owned], ['sequence', 2, 0, undefined]);
        found.push(arrows.filter(arrow => !/^\d+ more messages$/.test(arrow)).length);
      }
      assert.deepEqual(found.toSorted(), [...counts.values()].map(count => Math.min(count, MOST)).toSorted());
    });
  }
  await page.close();
}
