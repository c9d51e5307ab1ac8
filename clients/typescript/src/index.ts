export { createResumingClient, type ResumingClient, type ResumingClientOptions } from './client.js';
export { onAggregate, onEvents, type CommandOptions, type FoundEvent, type Outcome, type Seen } from './commands.js';
export { codeOf, GatewayError } from './errors.js';
export { eventId } from './event-id.js';
export { Gateway, type EventInput, type GatewayOptions, type PublishReport, type Receipt, type Rejection } from './gateway.js';
export { listThenLive, type ListThenLive, type Listed, type LiveSink, type Operation, type Subscriber, type TypedText } from './list-then-live.js';
export type { Token } from './token.js';
export { forwardSubscription } from './urql.js';
