/** Between a list and what follows it nothing is missed and nothing comes twice, whenever it is published. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { ApolloClient, gql, InMemoryCache } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { createResumingClient, forwardSubscription, GatewayError, listThenLive, type ResumingClient, type TypedText } from '@event-streaming-bus/client';
import { createResumingSseClient } from '@event-streaming-bus/client/sse';
import { Client as UrqlClient, gql as urqlGql, subscriptionExchange } from '@urql/core';
import { WebSocket } from 'ws';
import { GATEWAY, Tenant } from './gateway.js';
import { Proxy } from './proxy.js';
import { until } from './until.js';

interface Numbered {
  readonly eventId: string;
  readonly n: number;
}

const WHERE = 'where: { eventType: { eq: "user.seen" } }';
const FIELDS = 'eventId n: value(path: "payload.n")';
const LIST = `query List($first: Int) { events(${WHERE}, first: $first) { nodes { ${FIELDS} } asOf } }` as TypedText<
  { events: { nodes: Numbered[]; asOf: string } },
  { first: number }
>;
const LIVE = `subscription Live($from: From = { live: true }) { events(${WHERE}, from: $from) { ${FIELDS} } }` as TypedText<
  { events: Numbered },
  object
>;

describe('a list, then live', () => {
  let tenant: Tenant;
  let proxy: Proxy;
  let client: ResumingClient;

  beforeEach(async () => {
    tenant = await Tenant.create();
    proxy = await Proxy.to(GATEWAY);
    const retryWait = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));
    const token = await tenant.token(3600);
    client = createResumingClient({ url: proxy.url('ws'), token, webSocketImpl: WebSocket, retryWait });
    await tenant.publish(5);
  });

  afterEach(async () => {
    await client.dispose();
    await proxy.close();
  });

  const operations = { list: { query: LIST, variables: { first: 100 } }, live: { query: LIVE } };

  it('as an asynchronous iterator', async () => {
    const { data, live } = await listThenLive(client, operations);
    const numbers = data.events.nodes.map(({ n }) => n);
    proxy.cut();
    await tenant.publish(5);
    for await (const event of live) {
      numbers.push(event.n);
      if (numbers.length === 7) {
        proxy.down();
        await tenant.publish(5);
        proxy.up();
      }
      if (numbers.length === 15) break;
    }
    assert.deepEqual(numbers, await tenant.numbers());
  });

  it('over event streams', async () => {
    const token = await tenant.token(3600);
    const retry = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));
    const streams = createResumingSseClient({ url: proxy.url('http'), token, retry });
    const { data, live } = await listThenLive(streams, operations);
    const numbers = data.events.nodes.map(({ n }) => n);
    await tenant.publish(5);
    for await (const event of live) {
      numbers.push(event.n);
      if (numbers.length === 7) {
        proxy.cut();
        await tenant.publish(5);
      }
      if (numbers.length === 15) break;
    }
    streams.dispose();
    assert.deepEqual(numbers, await tenant.numbers());
  });

  it('by callbacks', async () => {
    const numbers: number[] = [];
    let publishing: Promise<void> | undefined;
    const stop = listThenLive(client, operations, {
      list(data) {
        numbers.push(...data.events.nodes.map(({ n }) => n));
        publishing = tenant.publish(5);
      },
      next: ({ n }) => numbers.push(n),
      error: assert.fail,
    });
    await until('all of them', () => numbers.length >= 10);
    await publishing;
    stop();
    assert.deepEqual(numbers, await tenant.numbers());
  });

  it('in the cache of Apollo Client, by its subscribeToMore', async () => {
    const apollo = new ApolloClient({ link: new GraphQLWsLink(client), cache: new InMemoryCache() });
    const list = apollo.watchQuery<{ events: { nodes: Numbered[]; asOf: string } }>({
      query: gql(LIST as string),
      variables: { first: 100 },
    });
    let shown: number[] = [];
    let asOf: string | undefined;
    list.subscribe(({ data, dataState }) => {
      if (dataState !== 'complete') return;
      shown = data.events.nodes.map(({ n }) => n);
      asOf = data.events.asOf;
    });
    await until('the list', () => shown.length === 5);
    await tenant.publish(3);
    list.subscribeToMore<{ events: Numbered }>({
      document: gql(LIVE as string),
      variables: { from: { cursor: asOf } },
      updateQuery: (previous, { subscriptionData }) => {
        const { events } = previous as { events: { nodes: Numbered[]; asOf: string } };
        return { events: { ...events, nodes: [...events.nodes, subscriptionData.data.events] } };
      },
    });
    await until('the list to have grown', () => shown.length >= 8);
    proxy.down();
    await tenant.publish(3);
    proxy.up();
    await until('the list to have grown', () => shown.length >= 11);
    assert.deepEqual(shown, await tenant.numbers());
    apollo.stop();
  });

  it('with urql', async () => {
    const urql = new UrqlClient({
      url: 'http://127.0.0.1/unused',
      preferGetMethod: false,
      exchanges: [subscriptionExchange({ forwardSubscription: forwardSubscription(client), enableAllOperations: true })],
    });
    const { data } = await urql.query<{ events: { nodes: Numbered[]; asOf: string } }>(urqlGql(LIST as string), { first: 100 });
    assert.ok(data);
    const numbers = data.events.nodes.map(({ n }) => n);
    await tenant.publish(3);
    const from = { cursor: data.events.asOf };
    const live = urql.subscription<{ events: Numbered }>(urqlGql(LIVE as string), { from });
    const { unsubscribe } = live.subscribe(({ data: said }) => {
      if (said) numbers.push(said.events.n);
    });
    await until('all of them', () => numbers.length >= 8);
    unsubscribe();
    assert.deepEqual(numbers, await tenant.numbers());
  });

  it('fails with the code the gateway gives', async () => {
    const refused = { ...operations, list: { query: '{ events(first: 5000) { asOf } }' as typeof LIST } };
    await assert.rejects(listThenLive(client, refused), (error) => error instanceof GatewayError && error.code === 'BAD_INPUT');
    const blind = { ...operations, list: { query: '{ events(first: 5) { nodes { id } } }' as typeof LIST } };
    await assert.rejects(listThenLive(client, blind), /asOf/);
  });
});
