/** Queries and batches over HTTP, sent again where that is safe. */
import { wait } from './backoff.js';
import { GatewayError, type ResponseError } from './errors.js';
import { eventId } from './event-id.js';
import type { Token } from './token.js';

export interface GatewayOptions {
  /** Of `/graphql`. */
  url: string;
  token?: Token;
  /** How often a request is sent before a failure that may pass is thrown; 8 where nothing is said. */
  tries?: number;
}

/** An event to publish, in the words of the schema's `EventInput`. */
export interface EventInput {
  eventType: string;
  payload: unknown;
  eventId?: string;
  aggregateType?: string;
  aggregateId?: string;
  expectedSequence?: number;
  [more: string]: unknown;
}

export interface Receipt {
  index: number;
  eventId: string;
  stream: string;
  position: number | null;
  sequenceNumber: number | null;
  cursor: string;
  recordedAt: string;
  duplicate: boolean;
}

export interface Rejection {
  index: number;
  eventId: string | null;
  code: string;
  message: string;
  details: unknown;
}

/** What became of a batch, in the order of its events. */
export interface PublishReport {
  receipts: Receipt[];
  rejections: Rejection[];
}

const PUBLISH = /* GraphQL */ `
  mutation ($events: [EventInput!]!, $condition: AppendCondition) {
    publishEvents(events: $events, condition: $condition) {
      receipts { index eventId stream position sequenceNumber cursor recordedAt duplicate }
      rejections { index eventId code message details }
    }
  }
`;
const PASSING = new Set(['RATE_LIMITED', 'LOG_UNAVAILABLE', 'TIMEOUT', 'INTERNAL']);

/** A gateway to ask and to publish to. */
export class Gateway {
  readonly #options: GatewayOptions;

  constructor(options: GatewayOptions) {
    this.#options = options;
  }

  /** The `data` of a query, or of a mutation that may be repeated. Throws a `GatewayError`. */
  async query<Data>(query: string, variables: Record<string, unknown> = {}): Promise<Data> {
    for (let failures = 0; ; ) {
      try {
        return await this.#ask<Data>(query, variables);
      } catch (error) {
        failures++;
        // no answer is no GatewayError: the gateway is away, or starts again
        const passes = !(error instanceof GatewayError) || PASSING.has(error.code ?? '');
        if (!passes || failures >= (this.#options.tries ?? 8)) throw error;
        await wait(failures - 1);
      }
    }
  }

  /**
   * Publish a batch, whole or not at all. Sent again where the outcome stayed unknown, and committed once all the same:
   * every event has an id before the first try.
   */
  async publish(events: readonly EventInput[], condition?: { noneMatching: object; after?: string }): Promise<PublishReport> {
    const said = events.map((event) => ({ eventId: eventId(), ...event }));
    for (let failures = 0; ; failures++) {
      const { publishEvents: report } = await this.query<{ publishEvents: PublishReport }>(PUBLISH, { events: said, condition });
      if (failures + 1 >= (this.#options.tries ?? 8) || !report.rejections.some(({ code }) => PASSING.has(code))) return report;
      await wait(failures);
    }
  }

  async #ask<Data>(query: string, variables: Record<string, unknown>): Promise<Data> {
    const { url, token } = this.#options;
    const bearer = typeof token === 'function' ? await token() : token;
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(bearer !== undefined && { authorization: `Bearer ${bearer}` }) },
      body: JSON.stringify({ query, variables }),
    });
    const body = (await answer.json()) as { data?: Data; errors?: ResponseError[]; code?: string; detail?: string };
    if (body.errors !== undefined && body.errors.length > 0) throw new GatewayError(body.errors);
    if (body.data === undefined || body.data === null) {
      // a problem (RFC 9457): refused before GraphQL was reached
      const message = body.detail ?? `HTTP ${answer.status}`;
      throw new GatewayError([{ message, extensions: { code: body.code ?? 'INTERNAL' } }]);
    }
    return body.data;
  }
}
