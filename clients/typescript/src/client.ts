/** graphql-ws, with nothing lost between two connections. */
import { createClient, type Client, type ClientOptions, type FormattedExecutionResult } from 'graphql-ws';
import { wait } from './backoff.js';
import { iterate } from './iterate.js';
import { watchPongs } from './liveness.js';
import { Operations } from './operations.js';
import { resuming, type Sink } from './resuming.js';
import { Authorization, type Token } from './token.js';

/** Those of graphql-ws; what is left out is chosen so that a client never gives up. */
export interface ResumingClientOptions extends Omit<ClientOptions, 'connectionParams' | 'generateID'> {
  /** A bearer token or, better, where to get one: asked before each connection, and before the last one expires. */
  token?: Token;
  /** More for `connection_init`. */
  connectionParams?: Record<string, unknown> | (() => Record<string, unknown> | Promise<Record<string, unknown>>);
}

/** A client of graphql-ws, to be used wherever one is: in Apollo's `GraphQLWsLink`, in urql, on its own. */
export type ResumingClient = Client;

const PING_EVERY_MS = 12_000;
/** After a restart a gateway lets all its clients in one after the other: who gives up early is last again. */
const ACK_WITHIN_MS = 90_000;

/**
 * A client whose subscriptions go on, after whatever interrupts them, right behind the last result the application was
 * given: nothing is missed, nothing comes twice. They end by being ended, or by an error the application must hear of.
 */
export function createResumingClient(options: ResumingClientOptions): ResumingClient {
  const { token, connectionParams, url, ...others } = options;
  const authorization = new Authorization(token);
  const operations = new Operations();
  const client = createClient({
    retryAttempts: Infinity,
    retryWait: wait,
    // a refused connection is an event without a close code; an Error is a bug, here or in the application
    shouldRetry: (problem) => !(problem instanceof Error) || 'code' in problem,
    keepAlive: PING_EVERY_MS,
    connectionAckWaitTimeout: ACK_WITHIN_MS,
    ...others,
    async url() {
      // before there is a socket: a server does not wait long for `connection_init`
      await authorization.prepare();
      return typeof url === 'function' ? await url() : url;
    },
    async connectionParams() {
      const said = typeof connectionParams === 'function' ? await connectionParams() : connectionParams;
      return { ...said, ...authorization.said(), cursors: true, progress: true };
    },
    generateID: (payload) => operations.id(payload),
  });
  watchPongs(client);
  dropWhatComesLate(client);
  client.on('connected', (socket) => authorization.connected(socket));
  client.on('closed', () => authorization.closed());
  client.on('pong', (received, payload) => {
    if (received) authorization.answered(payload);
  });
  client.on('ping', (received, payload) => {
    if (received) operations.moveOn(payload);
  });

  const subscribe: Client['subscribe'] = <Data, Extensions>(
    payload: Parameters<Client['subscribe']>[0],
    sink: Sink<FormattedExecutionResult<Data, Extensions>>,
  ) =>
    resuming<typeof payload, FormattedExecutionResult<Data, Extensions>>(
      (place, inner) =>
        client.subscribe<Data, Extensions>(operations.begin(place), {
          next: inner.next,
          error(error) {
            operations.end(place);
            inner.error(error);
          },
          complete() {
            operations.end(place);
            inner.complete();
          },
        }),
      payload,
      sink,
    );
  return {
    ...client,
    subscribe,
    iterate: (payload) => iterate((sink) => subscribe(payload, sink)),
    dispose() {
      authorization.stop();
      return client.dispose();
    },
  };
}

/** What arrives on a socket that was given up does not count: it comes again on the next one. */
function dropWhatComesLate(client: Client): void {
  let current: { onmessage: unknown } | undefined;
  client.on('opened', (socket) => {
    current = socket as { onmessage: unknown };
  });
  client.on('closed', () => {
    if (current !== undefined) current.onmessage = null;
    current = undefined;
  });
}
