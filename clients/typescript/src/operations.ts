/** The running operations of a client, by their ids on the wire. */
import type { SubscribePayload } from 'graphql-ws';
import { isObject } from './errors.js';
import type { Place } from './place.js';

export class Operations {
  readonly #places = new WeakMap<SubscribePayload, Place>();
  readonly #running = new Map<string, Place>();
  #last = 0;

  /** The operation is about to be sent. */
  begin(place: Place<SubscribePayload>): SubscribePayload {
    this.#places.set(place.payload, place);
    return place.payload;
  }

  /** An id for it. Never one used before: what ended for the client may not have ended for the server yet. */
  id(payload: SubscribePayload): string {
    const id = String(++this.#last);
    const place = this.#places.get(payload);
    if (place !== undefined) {
      this.end(place);
      place.id = id;
      this.#running.set(id, place);
    }
    return id;
  }

  /** It is over. */
  end(place: Place): void {
    if (place.id !== undefined) this.#running.delete(place.id);
  }

  /** A `ping` says where operations stand that have had no result: just begun, or nothing matching for a while. */
  moveOn(payload: unknown): void {
    const cursors = isObject(payload) ? payload['cursors'] : undefined;
    for (const [id, cursor] of Object.entries(isObject(cursors) ? cursors : {})) {
      this.#running.get(id)?.move(cursor);
    }
  }
}
