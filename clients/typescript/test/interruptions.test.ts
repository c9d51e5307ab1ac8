/** What interrupts a subscription besides cuts: expiry, draining, kills, dead connections, slow reading, bad cursors. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { codeOf, createResumingClient, type ResumingClient, type ResumingClientOptions } from '@event-streaming-bus/client';
import type { CloseEvent } from 'ws';
import { WebSocket } from 'ws';
import { LIVE, withGraphql, type Follower } from './followers.js';
import { gateway, GATEWAY, Tenant } from './gateway.js';
import { Proxy } from './proxy.js';
import { until } from './until.js';

describe('a subscription goes on', () => {
  let tenant: Tenant;
  let proxy: Proxy;
  let client: ResumingClient;
  let follower: Follower;
  let closed: number[];
  let connections: number;

  function begin(options: Partial<ResumingClientOptions>, query = LIVE): void {
    const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));
    client = createResumingClient({ url: proxy.url('ws'), webSocketImpl: WebSocket, retryWait: soon, ...options });
    client.on('closed', (event) => closed.push((event as CloseEvent).code));
    client.on('connected', () => connections++);
    follower = withGraphql(client, query);
  }

  async function follow(options: Partial<ResumingClientOptions>, query = LIVE): Promise<void> {
    begin(options, query);
    await until('it to be live', () => follower.marks.includes('user.first'), () => tenant.mark('user.first'));
  }

  async function nothingLost(): Promise<void> {
    await until('it to be live', () => follower.marks.includes('user.last'), () => tenant.mark('user.last'));
    assert.deepEqual(follower.numbers, await tenant.numbers());
    assert.deepEqual(follower.errors, []);
    assert.equal(follower.completed, false);
  }

  beforeEach(async () => {
    tenant = await Tenant.create();
    proxy = await Proxy.to(GATEWAY);
    closed = [];
    connections = 0;
  });

  afterEach(async () => {
    follower.stop();
    await client.dispose();
    await proxy.close();
  });

  it('from where it began, when it is cut off before the first result', async () => {
    let begun = false;
    begin({ token: await tenant.token(3600), on: { ping: (received) => (begun ||= received) } });
    await until('the place it begins at', () => begun);
    proxy.down();
    await tenant.publish(3);
    proxy.up();
    await nothingLost();
    assert.equal(follower.numbers.length, 3);
  });

  it('on the same socket while its tokens are renewed', async () => {
    let given = 0;
    let renewed = 0;
    await follow({ token: () => (given++, tenant.token(3)) });
    client.on('pong', (received, payload) => {
      if (received && payload?.['authorized'] === true) renewed++;
    });
    await until('three renewals', () => renewed >= 3, () => tenant.publish());
    await nothingLost();
    assert.equal(connections, 1);
    assert.ok(given > renewed);
  });

  it('with the next token, after the server has closed with 4403', async () => {
    let expires = 0;
    let token = '';
    const cached = async (): Promise<string> => {
      if (Date.now() >= expires) {
        expires = Date.now() + 1000;
        token = await tenant.token(1);
      }
      return token;
    };
    await follow({ token: cached });
    await until('two expiries', () => closed.filter((code) => code === 4403).length >= 2, () => tenant.publish());
    await nothingLost();
  });

  it('when the source of tokens fails for a while', async () => {
    const token = await tenant.token(3600);
    let failures = 0;
    let fail = false;
    await follow({
      lazy: false,
      token: () => {
        if (fail && failures++ < 2) throw new Error('offline');
        return token;
      },
    });
    fail = true;
    proxy.cut();
    await tenant.publish();
    await until('the source to have failed', () => failures > 2);
    await nothingLost();
  });

  it('elsewhere, when the gateway drains (1012) and when it is killed', async () => {
    await follow({ token: await tenant.token(3600) });
    for (const [order, code] of [['stop', 1012], ['kill', 1006]] as const) {
      const before = connections;
      closed = [];
      await tenant.publish(3);
      await gateway(order);
      await until('the socket to be closed', () => closed.length > 0);
      assert.equal(closed[0], code);
      proxy.down();
      await gateway('start');
      await tenant.publish(3);
      proxy.up();
      await until('a connection', () => connections > before);
    }
    await nothingLost();
  });

  it('when the connection died without a word', async () => {
    await follow({ token: await tenant.token(3600), keepAlive: 50 });
    proxy.freeze();
    await tenant.publish(3);
    await until('another connection', () => connections > 1);
    proxy.thaw(); // what waited in the old connection arrives after all, and ends it
    await until('the old connection to be over', () => proxy.open === 1);
    await nothingLost();
  });

  it('after SLOW_CONSUMER, from where it stood', async () => {
    let slow = 0;
    await follow({ token: await tenant.token(3600) }, LIVE.replace('from:', 'bufferBytes: 16384, from:'));
    client.on('message', (message) => {
      if (message.type === 'error' && codeOf(message.payload) === 'SLOW_CONSUMER') slow++;
    });
    await until('SLOW_CONSUMER', () => slow > 0, async () => {
      proxy.hold();
      for (let batch = 0; batch < 3; batch++) await tenant.publish(9, 850_000);
      proxy.release();
      await until('all of it', () => follower.numbers.length >= tenant.published);
    });
    await nothingLost();
  });
});

describe('a subscription ends', () => {
  it('with the error when its cursor is refused, and is not tried again', async () => {
    const tenant = await Tenant.create();
    const client = createResumingClient({
      url: new URL('/graphql', GATEWAY).href.replace('http', 'ws'),
      token: await tenant.token(3600),
      webSocketImpl: WebSocket,
    });
    const errors: unknown[] = [];
    client.on('message', (message) => {
      if (message.type === 'error') errors.push(codeOf(message.payload));
    });
    const query = LIVE;
    const extensions = { resume: { cursor: 'forged' } };
    await assert.rejects(
      async () => {
        for await (const _ of client.iterate({ query, extensions }));
      },
      (error) => codeOf(error) === 'CURSOR_INVALID',
    );
    for await (const { data } of client.iterate({ query: '{ streams { nodes { streamName } } }' })) assert.ok(data);
    assert.deepEqual(errors, ['CURSOR_INVALID']);
    await client.dispose();
  });
});
