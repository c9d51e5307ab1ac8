/** A real gateway, as tests/end_to_end/test_typescript_client.py has started it, and who starts and stops it. */
import { randomUUID } from 'node:crypto';

function named(variable: string): string {
  const value = process.env[variable];
  if (!value) throw new Error(`${variable} is not set: run pytest tests/end_to_end/test_typescript_client.py`);
  return value;
}

export const GATEWAY = new URL(named('ESB_TEST_GATEWAY'));
const BACKSTAGE = named('ESB_TEST_BACKSTAGE');

/** Tell the one who started the gateway: `stop` (SIGTERM), `kill` (SIGKILL) or `start`. */
export async function gateway(order: 'stop' | 'kill' | 'start'): Promise<void> {
  const answer = await fetch(`${BACKSTAGE}/${order}`, { method: 'POST' });
  if (!answer.ok) throw new Error(await answer.text());
}

/** A tenant of a test's own. */
export class Tenant {
  readonly name = `ts_${randomUUID().slice(0, 8)}`;
  #token = '';
  /** How many numbered events were published. */
  published = 0;

  static async create(): Promise<Tenant> {
    const tenant = new Tenant();
    tenant.#token = await tenant.token(3600);
    await tenant.query('mutation { createStream(stream: { streamName: "user-events", eventPatterns: ["user.**"] }) { id } }');
    return tenant;
  }

  /** A fresh token, good for so many seconds. */
  async token(seconds: number): Promise<string> {
    const answer = await fetch(`${BACKSTAGE}/token?tenant=${this.name}&seconds=${seconds}`);
    return answer.text();
  }

  /** Publish the next `count` numbered events, each with so many characters more. */
  async publish(count = 1, filler = 0): Promise<void> {
    const more = 'x'.repeat(filler);
    await this.#commit(Array.from({ length: count }, () => ({ eventType: 'user.seen', payload: { n: ++this.published, more } })));
  }

  /** Publish an event without a number. */
  async mark(eventType: string): Promise<void> {
    await this.#commit([{ eventType, payload: {} }]);
  }

  /** The numbers of what was published, as they stand in the log. */
  async numbers(): Promise<number[]> {
    const page = (await this.query('{ events(first: 1000, where: { eventType: { eq: "user.seen" } }) { nodes { n: value(path: "payload.n") } } }')) as {
      events: { nodes: { n: number }[] };
    };
    return page.events.nodes.map(({ n }) => n);
  }

  async #commit(events: object[]): Promise<void> {
    await this.query('mutation ($events: [EventInput!]!) { publishEvents(events: $events) { receipts { position } } }', { events });
  }

  async query(query: string, variables: object = {}): Promise<unknown> {
    const answer = await fetch(new URL('/graphql', GATEWAY), {
      method: 'POST',
      headers: { authorization: `Bearer ${this.#token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ query, variables }),
    });
    const body = (await answer.json()) as { data?: unknown; errors?: unknown };
    if (body.errors !== undefined) throw new Error(JSON.stringify(body.errors));
    return body.data;
  }
}
