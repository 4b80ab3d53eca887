// What docs/export.md promises of other programs, tried with those programs.
import { killAll } from '../interop.d/lib/children.mjs';
import { checkScripts } from './curl.mjs';
import { checkDiagrams } from './diagrams.mjs';
import { checkArchives, checkInFirefox } from './har.mjs';
import { checkImports } from './imports.mjs';
import { summary } from './lib/checks.mjs';
import { startChromium } from './lib/chromium.mjs';
import { startFirefox } from './lib/firefox.mjs';
import { hostile, many, mixed, open } from './lib/made.mjs';
import { removeAll } from './lib/program.mjs';
import { checkMarkdown } from './markdown.mjs';
import { checkPages } from './page.mjs';

const chromium = await startChromium();
const firefox = process.env.FIREFOX ? await startFirefox() : undefined;
if (!firefox) console.log('There is no Firefox here: what is checked with it is left out.');
try {
  const made = { mixed: await mixed(), open: await open(), many: await many(1_200), hostile: await hostile() };
  await checkArchives(chromium, Object.values(made));
  // It takes minutes for a thousand entries.
  if (firefox) await checkInFirefox(firefox, [made.mixed, made.open, made.hostile, await many(150)]);
  await checkImports(chromium, firefox);
  await checkScripts();
  await checkDiagrams(chromium, Object.values(made));
  await checkMarkdown([made.mixed, made.hostile]);
  await checkPages(chromium, { ...made, huge: await many(5_000) });
} finally {
  await firefox?.close();
  await chromium.close();
  killAll();
  await removeAll();
}
process.exit(summary() ? 0 : 1);
