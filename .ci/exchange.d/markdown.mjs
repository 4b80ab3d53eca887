// Markdown that `export` makes, drawn by a renderer that lets HTML pass: what peers said stays text, and each call has its heading.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { JSDOM } from 'jsdom';
import { marked } from 'marked';
import { check } from './lib/checks.mjs';
import { exported, recordings } from './lib/program.mjs';

export async function checkMarkdown(made) {
  console.log('\n== Markdown');
  for (const recording of [...await recordings(), ...made]) {
    await check(`${basename(recording)} as Markdown`, async () => {
      const { document } = new JSDOM(marked.parse(await readFile(await exported(recording, 'markdown'), 'utf8'))).window;
      const count = name => document.querySelectorAll(name).length;
      assert.equal(count('script, img, svg, iframe, a, b, [onerror], [onload], style'), 0, document.body.innerHTML.slice(0, 2000));
      assert.equal(count('h1'), 1);
      assert.equal(count('h3'), count('td') / 4, 'a heading for each row of the tables');
      const blocks = [...document.querySelectorAll('pre > code')];
      assert.ok(blocks.length >= count('h3') && blocks.every(({ className }) => className === 'language-json'), 'blocks of code');
    });
  }
}
