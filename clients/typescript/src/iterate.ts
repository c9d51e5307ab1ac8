import type { Sink } from './resuming.js';

/** What a sink would be told, as an asynchronous iterator. Leaving the loop ends the operation. */
export function iterate<T>(subscribe: (sink: Sink<T>) => () => void): AsyncIterableIterator<T> {
  const waiting: T[] = [];
  let over: { readonly error?: unknown } | undefined;
  let wake = (): void => undefined;
  const stop = subscribe({
    next(value) {
      waiting.push(value);
      wake();
    },
    error(error) {
      over ??= { error };
      wake();
    },
    complete() {
      over ??= {};
      wake();
    },
  });
  const results = (async function* () {
    try {
      for (;;) {
        while (waiting.length > 0) yield waiting.shift() as T;
        if (over !== undefined) {
          if ('error' in over) throw over.error;
          return;
        }
        await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      stop();
    }
  })();
  return Object.assign(results, {
    return: async (): Promise<IteratorResult<T>> => {
      // also while a step waits, or before the first one
      over = {};
      waiting.length = 0;
      stop();
      wake();
      return { done: true, value: undefined };
    },
  });
}
