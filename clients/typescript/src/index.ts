export { createResumingClient, type ResumingClient, type ResumingClientOptions } from './client.js';
export { codeOf, GatewayError } from './errors.js';
export { listThenLive, type ListThenLive, type Listed, type LiveSink, type Operation, type Subscriber, type TypedText } from './list-then-live.js';
export type { Token } from './token.js';
export { forwardSubscription } from './urql.js';
