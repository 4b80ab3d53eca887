// Checks with names, each tried, all counted.
const failed = [];
let passed = 0;

/** Tries one thing; what it throws is told, and the next one is tried. */
export async function check(name, attempt) {
  try {
    await attempt();
    passed += 1;
    console.log(`  ok    ${name}`);
  } catch (error) {
    failed.push(name);
    console.log(`  FAIL  ${name}\n${String(error.stack ?? error).replace(/^/gm, '        ')}`);
  }
}

/** Says how it went; true if nothing failed. */
export function summary() {
  console.log(`exchange: ${passed} passed, ${failed.length} failed${failed.map(name => `\n  ${name}`).join('')}`);
  return failed.length === 0;
}
