/** Each stock client under 24 abrupt cuts: with the resuming client nothing is lost, without it much is. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createResumingClient } from '@event-streaming-bus/client';
import { createClient, type Client } from 'graphql-ws';
import { WebSocket } from 'ws';
import { withApollo, withGraphqlWs, withUrql, type Follow, type Follower } from './followers.js';
import { GATEWAY, Tenant } from './gateway.js';
import { Proxy } from './proxy.js';
import { until } from './until.js';

const CUTS = 24;
const WHILE_DOWN = 2;
const CLIENTS: Record<string, Follow> = { 'graphql-ws': withGraphqlWs, 'Apollo Client': withApollo, urql: withUrql };

const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20 * Math.random()));

describe(`${CUTS} cuts`, () => {
  const resuming = new Map<string, Follower>();
  const stock = new Map<string, Follower>();
  const clients: Client[] = [];
  let tenant: Tenant;
  let proxy: Proxy;

  before(async () => {
    tenant = await Tenant.create();
    proxy = await Proxy.to(GATEWAY);
    const url = proxy.url('ws');
    const token = await tenant.token(3600);
    for (const [name, follow] of Object.entries(CLIENTS)) {
      const ours = createResumingClient({ url, token, webSocketImpl: WebSocket, retryWait: soon });
      const theirs = createClient({
        url,
        connectionParams: { authorization: `Bearer ${token}` },
        webSocketImpl: WebSocket,
        retryAttempts: Infinity,
        shouldRetry: () => true,
        retryWait: soon,
      });
      clients.push(ours, theirs);
      resuming.set(name, follow(ours));
      stock.set(name, follow(theirs));
    }
    const followers = [...resuming.values(), ...stock.values()];
    const said = (mark: string) => followers.every(({ marks }) => marks.includes(mark));
    await until('all to be live', () => said('user.first'), () => tenant.mark('user.first'));
    for (let cut = 0; cut < CUTS; cut++) {
      const publishing = [tenant.publish(), tenant.publish(3), tenant.publish()];
      await publishing[cut % 3];
      proxy.down();
      await Promise.all([...publishing, tenant.publish(WHILE_DOWN)]);
      const { accepted } = proxy;
      proxy.up();
      await until('a client to come back', () => proxy.accepted > accepted);
    }
    await until('all to be live again', () => said('user.last'), () => tenant.mark('user.last'));
  });

  after(async () => {
    for (const { stop } of [...resuming.values(), ...stock.values()]) stop();
    await Promise.all(clients.map((client) => client.dispose()));
    await proxy.close();
  });

  for (const name of Object.keys(CLIENTS)) {
    it(`${name} with the resuming client loses nothing and repeats nothing`, async () => {
      const { numbers, errors, completed } = resuming.get(name) as Follower;
      assert.deepEqual(numbers, await tenant.numbers());
      assert.deepEqual(errors, []);
      assert.equal(completed, false);
    });

    it(`${name} without it loses what is published meanwhile`, async () => {
      const lost = (await tenant.numbers()).length - (stock.get(name) as Follower).numbers.length;
      assert.ok(lost >= CUTS * WHILE_DOWN, `lost ${lost}`);
    });
  }
});
