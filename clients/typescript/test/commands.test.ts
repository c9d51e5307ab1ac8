/** Commands that race on a real gateway: decided one after the other, each once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codeOf, eventId, Gateway, GatewayError, onAggregate, onEvents, type FoundEvent, type Seen } from '@event-streaming-bus/client';
import { GATEWAY, gateway, Tenant } from './gateway.js';

interface Count {
  n: number;
}

async function bus(tenant: Tenant): Promise<Gateway> {
  const token = await tenant.token(600);
  return new Gateway({ url: new URL('/graphql', GATEWAY).href, token: () => token, tries: 100 });
}

const counted = ({ state }: Seen<Count>) => [{ eventType: 'user.seen', payload: { n: (state?.n ?? 0) + 1 } }];

test('commands that race on one aggregate are decided one after the other, through a killed gateway', async () => {
  const tenant = await Tenant.create();
  const to = await bus(tenant);
  const work = Array.from({ length: 8 }, async () => {
    for (let n = 0; n < 5; n++) await onAggregate<Count>(to, { type: 'Counter', id: 'c1' }, counted, { attempts: 1000 });
  });
  while ((await tenant.numbers().catch(() => [])).length < 10);
  await gateway('kill');
  await gateway('start');
  await Promise.all(work);
  assert.deepEqual(await tenant.numbers(), Array.from({ length: 40 }, (_, n) => n + 1));
});

test('decisions on a boundary take every seat once', async () => {
  const tenant = await Tenant.create();
  const to = await bus(tenant);
  const take = (taken: FoundEvent[]) => [{ eventType: 'user.seen', payload: { n: taken.length } }];
  await Promise.all(
    Array.from({ length: 12 }, () => onEvents(to, { eventType: { eq: 'user.seen' } }, take, { attempts: 1000 })),
  );
  assert.deepEqual(await tenant.numbers(), Array.from({ length: 12 }, (_, n) => n));
});

test('refusals and conflicts are thrown by their codes, and nothing is published', async () => {
  const tenant = await Tenant.create();
  const to = await bus(tenant);
  const one = { type: 'Counter', id: 'c1' };
  await assert.rejects(onAggregate(to, one, () => [{ eventType: 'nowhere.to', payload: 1 }]), { code: 'UNKNOWN_STREAM' });
  await assert.rejects(onAggregate(to, one, () => Promise.reject(new Error('no'))), /no/);
  const outrun = async () => {
    await to.publish([{ eventType: 'user.other', aggregateType: one.type, aggregateId: one.id, payload: {} }]);
    return [{ eventType: 'user.seen', payload: { n: 1 } }];
  };
  await assert.rejects(onAggregate(to, one, outrun, { attempts: 2 }), (error) => {
    assert.ok(error instanceof GatewayError);
    return codeOf(error) === 'SEQUENCE_CONFLICT';
  });
  assert.deepEqual(await onAggregate(to, one, () => []), { receipts: [], attempts: 1 });
  assert.deepEqual(await tenant.numbers(), []);
});

test('event ids are as the gateway takes them', () => {
  assert.match(eventId(), /^evt_[0-7][0-9A-HJKMNP-TV-Z]{25}$/);
  assert.notEqual(eventId(), eventId());
});
