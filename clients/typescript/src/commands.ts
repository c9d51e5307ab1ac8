/**
 * Commands: load what is, decide, publish what follows, and begin again when somebody else was faster. Nothing is
 * locked: what was seen travels with what was decided, and the log commits it only if that is still so.
 */
import { GatewayError } from './errors.js';
import type { EventInput, Gateway, PublishReport, Receipt } from './gateway.js';

/** An aggregate as it is now. `version`: 0, and `state` null, where nothing has happened to it yet. */
export interface Seen<State> {
  type: string;
  id: string;
  version: number;
  state: State | null;
}

/** What a command came to: receipts of what it published, and how often it had to decide. */
export interface Outcome {
  receipts: Receipt[];
  attempts: number;
}

/** An event as a boundary finds it. */
export interface FoundEvent {
  eventId: string;
  eventType: string;
  aggregateType: string | null;
  aggregateId: string | null;
  sequenceNumber: number | null;
  position: number | null;
  timestamp: string;
  recordedAt: string;
  payload: unknown;
  metadata: unknown;
  cursor: string;
}

export interface CommandOptions {
  /** Times it is decided anew before the conflict is thrown; 20 where nothing is said. */
  attempts?: number;
}

type Decided = readonly EventInput[] | Promise<readonly EventInput[]>;

interface Page {
  events: { nodes: FoundEvent[]; pageInfo: { hasNextPage: boolean; endCursor: string | null }; asOf: string };
}

const AGGREGATE = 'query ($type: String!, $id: ID!) { aggregate(type: $type, id: $id) { version state } }';
const EVENTS = /* GraphQL */ `
  query ($where: EventFilter, $after: String) {
    events(where: $where, first: 500, after: $after) {
      nodes {
        eventId eventType aggregateType aggregateId sequenceNumber position timestamp recordedAt payload metadata cursor
      }
      pageInfo { hasNextPage endCursor }
      asOf
    }
  }
`;
const CONFLICTS = ['SEQUENCE_CONFLICT', 'CONDITION_FAILED'];
const LONGEST_PAUSE_MS = 1000;

/**
 * Decide on one aggregate's state. `decide` says which events follow; type and id are filled in where it leaves both
 * out. It may be asked several times, so it must only decide; what it throws ends the command. The events commit
 * together, and only if nothing happened to the aggregate since. Throws a `GatewayError`.
 */
export function onAggregate<State>(
  gateway: Gateway,
  { type, id }: { type: string; id: string },
  decide: (seen: Seen<State>) => Decided,
  options: CommandOptions = {},
): Promise<Outcome> {
  return untilSettled(async () => {
    const { aggregate } = await gateway.query<{ aggregate: { version: number; state: State } | null }>(AGGREGATE, { type, id });
    const version = aggregate?.version ?? 0;
    const events = (await decide({ type, id, version, state: aggregate?.state ?? null })).map((event) =>
      event.aggregateType === undefined && event.aggregateId === undefined
        ? { ...event, aggregateType: type, aggregateId: id }
        : { ...event },
    );
    // the later ones follow on it in the same batch
    const first = events.find(({ aggregateType, aggregateId }) => aggregateType === type && aggregateId === id);
    if (first !== undefined) first.expectedSequence ??= version;
    return events.length > 0 ? gateway.publish(events) : undefined;
  }, options);
}

/**
 * Decide on the events a filter finds, of whichever aggregates and ledger streams. `decide` is given all of them in the
 * log's order; what it says commits only if no event that the filter finds came since, in any ledger stream of the
 * tenant: the token must grant reading all those where such events are. Throws a `GatewayError`.
 */
export function onEvents(
  gateway: Gateway,
  where: object,
  decide: (events: FoundEvent[]) => Decided,
  options: CommandOptions = {},
): Promise<Outcome> {
  return untilSettled(async () => {
    const { found, asOf } = await matching(gateway, where);
    const events = await decide(found);
    return events.length > 0 ? gateway.publish(events, { noneMatching: where, after: asOf }) : undefined;
  }, options);
}

async function untilSettled(attempt: () => Promise<PublishReport | undefined>, options: CommandOptions): Promise<Outcome> {
  for (let attempts = 1; ; attempts++) {
    const report = await attempt();
    const rejection = report?.rejections[0];
    if (rejection === undefined) return { receipts: report?.receipts ?? [], attempts };
    if (!CONFLICTS.includes(rejection.code) || attempts >= (options.attempts ?? 20)) {
      const { code, message, details } = rejection;
      throw new GatewayError([{ message, extensions: { code, details } }]);
    }
    // those who collided must not collide again
    const longest = Math.min(LONGEST_PAUSE_MS, 10 * 2 ** Math.min(attempts, 10));
    await new Promise((resolve) => setTimeout(resolve, Math.random() * longest));
  }
}

/** Every event the filter finds, and the cursor behind which none of them lies. */
async function matching(gateway: Gateway, where: object): Promise<{ found: FoundEvent[]; asOf: string }> {
  const found: FoundEvent[] = [];
  for (let after: string | null = null; ; ) {
    const { events: page }: Page = await gateway.query<Page>(EVENTS, { where, after });
    found.push(...page.nodes);
    if (!page.pageInfo.hasNextPage) return { found, asOf: page.asOf };
    after = page.pageInfo.endCursor;
  }
}
