// Every wait in these tests has an end.

export const STEP_MILLISECONDS = 30_000;

/** Something did not happen in time. */
export class Late extends Error {}

/** Resolves like `promise`, or rejects with what was waited for after `milliseconds`. */
export async function within(what, promise, milliseconds = STEP_MILLISECONDS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Late(`no ${what} within ${milliseconds} ms`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Resolves to the first thing that `look` finds, asking again and again. */
export async function until(what, look, milliseconds = STEP_MILLISECONDS) {
  const end = performance.now() + milliseconds;
  while (performance.now() < end) {
    const found = await look();
    if (found) return found;
  }
  throw new Late(`no ${what} within ${milliseconds} ms`);
}
