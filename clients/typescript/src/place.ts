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
  /** Always the same object: clients copy the payload, and what is around this. */
  readonly #resume: { cursor?: string };

  constructor(payload: P) {
    const resume = payload.extensions?.['resume'];
    this.#resume = isObject(resume) ? { ...resume } : {};
    this.payload = { ...payload, extensions: { ...payload.extensions, resume: this.#resume } };
  }

  /** Whether the place is known: before the first result or `ping`, only the server knows it. */
  get known(): boolean {
    return this.#resume.cursor !== undefined;
  }

  /** Go on from here the next time the payload is sent. */
  move(cursor: unknown): void {
    if (typeof cursor === 'string') this.#resume.cursor = cursor;
  }

  /** Go on after this result. Before the application sees it: what it was given never comes twice. */
  pass(result: unknown): void {
    const extensions = isObject(result) ? result['extensions'] : undefined;
    if (isObject(extensions)) this.move(extensions['cursor']);
  }
}
