/** Each stock client under 24 abrupt cuts: with the resuming client nothing is lost, without it much is. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createResumingClient } from '@event-streaming-bus/client';
import { createResumingSseClient } from '@event-streaming-bus/client/sse';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { withApollo, withGraphql, withUrql, type Follower } from './followers.js';
import { GATEWAY, Tenant } from './gateway.js';
import { Proxy } from './proxy.js';
import { until } from './until.js';

const CUTS = 24;
const WHILE_DOWN = 2;
const WS_CLIENTS = { 'graphql-ws': withGraphql, 'Apollo Client': withApollo, urql: withUrql };
const SSE_MODES = { 'graphql-sse, a connection for each': false, 'graphql-sse, one connection': true };
const CLIENTS = [...Object.keys(WS_CLIENTS), ...Object.keys(SSE_MODES)];

const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20 * Math.random()));

describe(`${CUTS} cuts`, () => {
  const resuming = new Map<string, Follower>();
  const stock = new Map<string, Follower>();
  const clients: { dispose(): unknown }[] = [];
  let tenant: Tenant;
  let proxy: Proxy;

  const kept = <C extends { dispose(): unknown }>(client: C): C => (clients.push(client), client);

  function overWebSocket(token: string): void {
    const all = { url: proxy.url('ws'), webSocketImpl: WebSocket, retryWait: soon };
    const never = { ...all, retryAttempts: Infinity, shouldRetry: () => true };
    const connectionParams = { authorization: `Bearer ${token}` };
    for (const [name, follow] of Object.entries(WS_CLIENTS)) {
      resuming.set(name, follow(kept(createResumingClient({ ...all, token }))));
      stock.set(name, follow(kept(createClient({ ...never, connectionParams }))));
    }
  }

  function overEventStreams(token: string): void {
    const all = { url: proxy.url('http'), retry: soon };
    const headers = { authorization: `Bearer ${token}` };
    for (const [name, singleConnection] of Object.entries(SSE_MODES)) {
      resuming.set(name, withGraphql(kept(createResumingSseClient({ ...all, singleConnection, token }))));
      stock.set(name, withGraphql(kept(createSseClient({ ...all, singleConnection, retryAttempts: Infinity, headers: () => ({ ...headers }) }))));
    }
  }

  before(async () => {
    tenant = await Tenant.create();
    proxy = await Proxy.to(GATEWAY);
    const token = await tenant.token(3600);
    overWebSocket(token);
    overEventStreams(token);
    const followers = [...resuming.values(), ...stock.values()];
    const said = (mark: string) => followers.every(({ marks }) => marks.includes(mark));
    await until('all to be live', () => said('user.first'), () => tenant.mark('user.first'));
    for (let cut = 0; cut < CUTS; cut++) {
      const publishing = [tenant.publish(), tenant.publish(3), tenant.publish()];
      await publishing[cut % 3];
      proxy.down();
      await Promise.all([...publishing, tenant.publish(WHILE_DOWN)]);
      proxy.up();
      const all = (): boolean => [...resuming.values()].every(({ numbers }) => numbers.length >= tenant.published);
      await until('what was missed', all);
    }
    await until('all to be live again', () => said('user.last'), () => tenant.mark('user.last'));
  });

  after(async () => {
    for (const { stop } of [...resuming.values(), ...stock.values()]) stop();
    await Promise.all(clients.map((client) => client.dispose()));
    await proxy.close();
  });

  for (const name of CLIENTS) {
    it(`${name} with the resuming client loses nothing and repeats nothing`, async () => {
      const { numbers, errors, completed } = resuming.get(name) as Follower;
      assert.deepEqual(numbers, await tenant.numbers());
      assert.deepEqual(errors, []);
      assert.equal(completed, false);
    });

    it(`${name} without it loses what is published meanwhile`, async (test) => {
      const published = (await tenant.numbers()).length;
      const lost = published - (stock.get(name) as Follower).numbers.length;
      test.diagnostic(`lost ${lost} of ${published}`);
      assert.ok(lost >= CUTS * WHILE_DOWN, `lost ${lost}`);
    });
  }
});
