/** One operation that is begun again where it stood, whenever what ended it passes. */
import { backoff } from './backoff.js';
import { cursorIn, passes, pauseIn } from './errors.js';
import { Place, type Payload } from './place.js';

/** Who is told what an operation says (as graphql-ws and graphql-sse name it). */
export interface Sink<T> {
  next(value: T): void;
  error(error: unknown): void;
  complete(): void;
}

/**
 * Follow `payload` through `subscribe`, which begins an operation, tells a sink, and returns what ends it.
 *
 * `failed`: the errors in a result that is none; SSE has no other way to say why an operation ended.
 */
export function resuming<P extends Payload, T>(
  subscribe: (place: Place<P>, sink: Sink<T>) => () => void,
  payload: P,
  sink: Sink<T>,
  failed: (result: T) => unknown = () => undefined,
): () => void {
  const place = new Place(payload);
  let failures = 0;
  let stopped = false;
  let stop = begin();
  return () => {
    if (!stopped) {
      stopped = true;
      stop();
    }
  };

  function begin(): () => void {
    let ended = false;
    const end = subscribe(place, {
      next(result) {
        if (ended || stopped) return;
        const error = failed(result);
        if (error !== undefined && passes(error)) {
          ended = true;
          again(error);
          return;
        }
        failures = 0;
        place.pass(result);
        sink.next(result);
      },
      error(error) {
        if (ended) return;
        ended = true;
        if (!stopped && passes(error)) again(error);
        else sink.error(error);
      },
      complete() {
        if (ended) return;
        ended = true;
        sink.complete();
      },
    });
    return end;
  }

  function again(error: unknown): void {
    if (!place.known) place.move(cursorIn(error));
    const pause = failures++ > 0 ? Math.max(pauseIn(error), backoff(failures)) : pauseIn(error);
    const timer = setTimeout(() => (stop = begin()), pause);
    stop = () => {
      clearTimeout(timer);
      sink.complete();
    };
  }
}
