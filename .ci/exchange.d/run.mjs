// What docs/export.md promises of other programs, tried with those programs.
import { killAll } from '../interop.d/lib/children.mjs';
import { checkArchives } from './har.mjs';
import { startChromium } from './lib/chromium.mjs';
import { summary } from './lib/checks.mjs';
import { hostile, many, mixed, open } from './lib/made.mjs';
import { removeAll } from './lib/program.mjs';

const chromium = await startChromium();
try {
  const made = { mixed: await mixed(), open: await open(), many: await many(1_200), hostile: await hostile() };
  await checkArchives(chromium, Object.values(made));
} finally {
  await chromium.close();
  killAll();
  await removeAll();
}
process.exit(summary() ? 0 : 1);
