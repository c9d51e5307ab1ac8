// The gateway under test and a tenant of it with the stream user-events, as test_clients.py made them; what every client
// has to manage; and what goes past the client under test: publishing, and how many subscriptions the gateway has.
import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import { test } from 'node:test';

const WITHIN_MS = 20_000;

export const URL_HTTP = `${process.env.ESB_TEST_URL}/graphql`;
export const URL_WS = URL_HTTP.replace(/^http/, 'ws');
export const AUTHORIZATION = `Bearer ${process.env.ESB_TEST_TOKEN}`;

export const QUERY = 'query Events($first: Int!) { events(first: $first) { asOf nodes { id eventType } } }';
export const MUTATION = 'mutation Publish($event: EventInput!) { publishEvent(event: $event) { eventId position } }';
export const FEED = 'subscription Feed($from: From) { feed(from: $from) { __typename ... on Event { id payload } } }';
export const FROM_NOW = { from: { live: true } };
export const FROM_NOWHERE = { from: { cursor: 'nonsense' } };

export const event = (payload) => ({ event: { eventType: 'user.seen', payload } });

/** Publish past the client under test. */
export async function publish(payload) {
  const answer = await fetch(URL_HTTP, {
    method: 'POST',
    headers: { authorization: AUTHORIZATION, 'content-type': 'application/json' },
    body: JSON.stringify({ query: MUTATION, variables: event(payload) }),
  });
  const { errors } = await answer.json();
  assert.equal(errors, undefined);
}

/** The live subscriptions the gateway has. */
export async function subscriptions() {
  const metrics = await (await fetch(`${process.env.ESB_TEST_URL}/metrics`)).text();
  return Number(/^esb_live_subscriptions (.*)$/m.exec(metrics)[1]);
}

async function until(condition) {
  while (!(await condition())) await setTimeout(20);
}

/** Collects what a subscription says: `next` waits for the next result, `failed` for its error. */
export class Heard {
  #results = [];
  #waiting = [];
  #failure = withResolvers();

  constructor() {
    this.failed = this.#failure.promise;
  }

  result = (result) => {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(result);
    else this.#results.push(result);
  };

  error = (error) => this.#failure.resolve(error);

  next() {
    return this.#results.length ? this.#results.shift() : new Promise((resolve) => this.#waiting.push(resolve));
  }

  get unheard() {
    return this.#results.length;
  }
}

function withResolvers() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
}

/**
 * The same for every client. `open()` gives {query(), mutate(variables), follow(variables, heard) → stop, close()}:
 * `query` and `mutate` resolve to data, and reject or resolve to what `codeOf` finds the error's code in; results of
 * subscriptions go to `heard.result`, the error that ends one to `heard.error`.
 */
export function manages(name, open, codeOf) {
  const options = { timeout: WITHIN_MS };

  test(`${name}: a query and a mutation are answered`, options, async () => {
    const client = await open();
    const { publishEvent } = await client.mutate(event({ by: name }));
    assert.match(publishEvent.eventId, /^evt_/);
    const { events } = await client.query({ first: 1 });
    assert.match(events.nodes[0].id, /^evt_/);
    await client.close();
  });

  test(`${name}: an event published meanwhile arrives, and nothing does once it is unsubscribed`, options, async () => {
    const before = await subscriptions();
    const client = await open();
    const heard = new Heard();
    const stop = client.follow(FROM_NOW, heard);
    assert.equal((await heard.next()).feed.__typename, 'CaughtUp');
    for (const n of [1, 2]) {
      await publish({ n });
      const { feed } = await heard.next();
      assert.deepEqual([feed.__typename, feed.payload], ['Event', { n }]);
    }
    assert.equal(await subscriptions(), before + 1);
    await stop();
    await until(async () => (await subscriptions()) === before);
    await publish({ n: 3 });
    await client.query({ first: 1 });
    assert.equal(heard.unheard, 0);
    await client.close();
  });

  test(`${name}: mistakes are told by their code`, options, async () => {
    const client = await open();
    const refused = await client.mutate({ event: { eventType: 'no spaces !' } }).then(codeOf, codeOf);
    assert.equal(refused, 'BAD_INPUT');
    const heard = new Heard();
    client.follow(FROM_NOWHERE, heard);
    assert.equal(codeOf(await heard.failed), 'CURSOR_INVALID');
    await client.query({ first: 1 });
    await client.close();
  });
}
