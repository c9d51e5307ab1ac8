/**
 * Where an operation stands. Clients send an operation again as it was when they have connected again; this is an
 * operation that remembers what it has seen, so that sending it again goes on from there.
 */
import { isObject } from './errors.js';

/** What a client sends to begin an operation. */
export interface Payload {
  readonly query: string;
  readonly operationName?: string | undefined | null;
  readonly variables?: Record<string, unknown> | undefined | null;
  readonly extensions?: Record<string, unknown> | undefined | null;
}

/** A payload with its place in the log: `extensions.resume.cursor`, which overrides the variables' `from`. */
export class Place<P extends Payload = Payload> {
  readonly payload: P;
  /** The operation's id on the wire, while it runs. */
  id: string | undefined;

  constructor(payload: P) {
    this.payload = { ...payload };
  }

  /** Go on from here the next time the payload is sent. */
  move(cursor: string | undefined): void {
    if (cursor !== undefined) {
      const extensions = { ...this.payload.extensions, resume: { cursor } };
      Object.assign(this.payload, { extensions });
    }
  }

  /** Go on after this result. Before the application sees it: what it was given never comes twice. */
  pass(result: unknown): void {
    const extensions = isObject(result) ? result['extensions'] : undefined;
    const cursor = isObject(extensions) ? extensions['cursor'] : undefined;
    this.move(typeof cursor === 'string' ? cursor : undefined);
  }

  /** Whether the operation has a place: before its first result or `ping`, only the server knows it. */
  get known(): boolean {
    return isObject(this.payload.extensions?.['resume']);
  }
}
