// Each audit of graphql-http is a test, and every one has to be `ok`: a notice or a warning is a failure here.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serverAudits } from 'graphql-http';
import { AUTHORIZATION, URL_HTTP } from './gateway.mjs';

const authorized = (input, init) => fetch(input, { ...init, headers: { ...init?.headers, authorization: AUTHORIZATION } });
const audits = serverAudits({ url: URL_HTTP, fetchFn: authorized });

test('there are 61 audits', () => assert.equal(audits.length, 61));

for (const { name, fn } of audits) {
  test(name, async () => {
    const { status, reason } = await fn();
    assert.equal(status, 'ok', reason);
  });
}
