/** Waiting for what will come, and for nothing else. */

const DEADLINE_MS = 40_000;

/** Look, and do `meanwhile`, until `there` says yes. The deadline is for tests that fail. */
export async function until(what: string, there: () => boolean, meanwhile?: () => Promise<void>): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  while (!there()) {
    if (Date.now() > deadline) throw new Error(`waited ${DEADLINE_MS} ms for: ${what}`);
    await meanwhile?.();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
