/** graphql-sse, with nothing lost between two connections: for networks that let no WebSocket through. */
import { createClient, type Client, type ClientOptions, type ExecutionResult, type RequestParams } from 'graphql-sse';
import { wait } from './backoff.js';
import { iterate } from './iterate.js';
import { resuming, type Sink } from './resuming.js';
import { Authorization, type Token } from './token.js';

/** Those of graphql-sse; what is left out is chosen so that a client never gives up. */
export interface ResumingSseOptions<Single extends boolean = false> extends Omit<ClientOptions<Single>, 'headers'> {
  /** A bearer token or, better, where to get one: asked before each request. */
  token?: Token;
  /** More headers. */
  headers?: Record<string, string>;
}

/** A client of graphql-sse whose subscriptions go on as those of `createResumingClient` do. */
export function createResumingSseClient<Single extends boolean = false>(
  options: ResumingSseOptions<Single>,
): Client<Single> {
  const { token, headers, fetchFn = fetch, ...others } = options;
  const authorization = new Authorization(token);
  const client = createClient<Single>({
    retryAttempts: Infinity,
    retry: wait,
    ...(others as Omit<ClientOptions<Single>, 'headers'>),
    fetchFn: refusing(fetchFn as typeof fetch),
    async headers() {
      await authorization.prepare();
      return { ...headers, ...authorization.said() };
    },
  });
  const subscribe: Client<Single>['subscribe'] = <Data, Extensions>(
    request: RequestParams,
    sink: Sink<ExecutionResult<Data, Extensions>>,
    on?: Parameters<Client<Single>['subscribe']>[2],
  ) =>
    resuming<RequestParams & { query: string }, ExecutionResult<Data, Extensions>>(
      (place, inner) => client.subscribe<Data, Extensions>(place.payload as RequestParams, inner, on),
      request,
      sink,
      (result) => (result.data === undefined ? result.errors : undefined),
    );
  return {
    subscribe,
    iterate: (request, on) => iterate((sink) => subscribe(request, sink, on)),
    dispose() {
      authorization.stop();
      client.dispose();
    },
  };
}

/**
 * Turns a refusal that will stay one (400, 403, 413 …) into a stream that says it: graphql-sse would ask for ever. After
 * 401 it asks again, with another token.
 */
function refusing(fetcher: typeof fetch): typeof fetch {
  return async (input, init) => {
    const response = await fetcher(input, init);
    const { status } = response;
    if (status < 400 || status >= 500 || PASSING.has(status) || init?.method !== 'POST') return response;
    const body = (await response.text()).replaceAll(/[\r\n]/g, ' ');
    return new Response(`event: next\ndata: ${body}\n\nevent: complete\ndata:\n\n`, { status: 200 });
  };
}

const PASSING = new Set([401, 408, 409, 429]);
