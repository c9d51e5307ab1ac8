/** A list, and what comes after it: no event between the two is missed, none is in both. */
import { GatewayError, isObject, type ResponseError } from './errors.js';
import { iterate } from './iterate.js';
import type { Sink } from './resuming.js';

/** A client of graphql-ws or graphql-sse. */
export interface Subscriber {
  subscribe<Data>(
    payload: { query: string; variables?: Record<string, unknown>; extensions?: Record<string, unknown> },
    sink: Sink<{ data?: Data | null | undefined; errors?: readonly ResponseError[] | undefined }>,
  ): () => void;
}

/** A document as text; GraphQL Code Generator's `documentMode: 'string'` writes such documents with their types. */
export type TypedText<Data, Variables> = (string | String) & {
  readonly __apiType?: ((variables: Variables) => Data) | undefined;
};

/** A document with its variables. */
export interface Operation<Data, Variables> {
  readonly query: TypedText<Data, Variables>;
  readonly variables?: NoInfer<Variables> | undefined;
}

/**
 * `list`: a query for a connection that asks for its `asOf`. `live`: a subscription; it begins where the list stood,
 * whatever its `from` says.
 */
export interface ListThenLive<List, ListVariables, Live, LiveVariables> {
  readonly list: Operation<List, ListVariables>;
  readonly live: Operation<Live, LiveVariables>;
}

/** What a subscription's one field says. */
export type Item<Live> = Live[Exclude<keyof Live, '__typename'>];

/** `live` may be followed at any time after the list, once: it begins where the list stood. */
export interface Listed<List, Live> {
  readonly data: List;
  readonly asOf: string;
  readonly live: AsyncIterable<Item<Live>>;
}

/** The callback form: first `list`, once, then `next` for each item. */
export interface LiveSink<List, Live> {
  list(data: List): void;
  next(item: Item<Live>): void;
  error?(error: unknown): void;
  complete?(): void;
}

/** Returns what ends it. Errors go to `error`, a `GatewayError` for what the gateway says. */
export function listThenLive<List, ListVariables, Live, LiveVariables>(
  client: Subscriber,
  operations: ListThenLive<List, ListVariables, Live, LiveVariables>,
  sink: LiveSink<List, Live>,
): () => void;
/** Resolves with the list. Throws, as `live` does, a `GatewayError` for what the gateway says. */
export function listThenLive<List, ListVariables, Live, LiveVariables>(
  client: Subscriber,
  operations: ListThenLive<List, ListVariables, Live, LiveVariables>,
): Promise<Listed<List, Live>>;
export function listThenLive<List, ListVariables, Live, LiveVariables>(
  client: Subscriber,
  { list, live }: ListThenLive<List, ListVariables, Live, LiveVariables>,
  sink?: LiveSink<List, Live>,
): (() => void) | Promise<Listed<List, Live>> {
  const query = (said: Sink<List>) => run(client, list, undefined, (data: List) => data, said);
  const follow = (asOf: string, said: Sink<Item<Live>>) => run(client, live, asOf, (data: Live) => onlyField(data), said);
  return sink === undefined ? listed(query, follow) : told(query, follow, sink);
}

type Query<List> = (sink: Sink<List>) => () => void;
type Follow<Live> = (asOf: string, sink: Sink<Item<Live>>) => () => void;

async function listed<List, Live>(query: Query<List>, follow: Follow<Live>): Promise<Listed<List, Live>> {
  for await (const data of iterate(query)) {
    const asOf = asOfIn(data);
    const live = { [Symbol.asyncIterator]: () => iterate<Item<Live>>((sink) => follow(asOf, sink)) };
    return { data, asOf, live };
  }
  throw new Error('the list was not answered');
}

function told<List, Live>(query: Query<List>, follow: Follow<Live>, sink: LiveSink<List, Live>): () => void {
  const failed = (error: unknown): void => sink.error?.(error);
  let stopped = false;
  let following: (() => void) | undefined;
  const stop = query({
    next(data) {
      if (stopped) return;
      const asOf = asOfIn(data);
      sink.list(data);
      if (!stopped) {
        following = follow(asOf, {
          next: (item) => sink.next(item),
          error: failed,
          complete: () => sink.complete?.(),
        });
      }
    },
    error: failed,
    complete: () => undefined,
  });
  return () => {
    stopped = true;
    stop();
    following?.();
  };
}

function run<Data, T>(
  client: Subscriber,
  operation: { readonly query: unknown; readonly variables?: unknown },
  cursor: string | undefined,
  read: (data: Data) => T,
  sink: Sink<T>,
): () => void {
  const payload = {
    query: String(operation.query),
    variables: (operation.variables ?? {}) as Record<string, unknown>,
    ...(cursor !== undefined && { extensions: { resume: { cursor } } }),
  };
  return client.subscribe<Data>(payload, {
    next(result) {
      if (result.data === null || result.data === undefined) sink.error(new GatewayError(result.errors ?? []));
      else sink.next(read(result.data));
    },
    error: (error) => sink.error(Array.isArray(error) ? new GatewayError(error as ResponseError[]) : error),
    complete: () => sink.complete(),
  });
}

function onlyField<Live>(data: Live): Item<Live> {
  const [name] = Object.keys(data as object).filter((key) => key !== '__typename');
  return data[name as Exclude<keyof Live, '__typename'>];
}

function asOfIn(data: unknown): string {
  for (const field of isObject(data) ? Object.values(data) : []) {
    if (isObject(field) && typeof field['asOf'] === 'string') return field['asOf'];
  }
  throw new TypeError('the list must be a connection that asks for its asOf: query { events { nodes { … } asOf } }');
}
