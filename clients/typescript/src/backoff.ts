/**
 * Waiting before another try. Exponential, capped, and half of it random: the clients of a gateway that went away do
 * not all come back in the same instant.
 */

const FIRST_MS = 500;
const MOST_MS = 20_000;

/** How long to wait, in milliseconds, when `failures` tries in a row have failed already. */
export function backoff(failures: number): number {
  const most = Math.min(MOST_MS, FIRST_MS * 2 ** Math.min(failures, 10));
  return most / 2 + (Math.random() * most) / 2;
}

/** Resolves after the same time. */
export function wait(failures: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, backoff(failures)));
}
