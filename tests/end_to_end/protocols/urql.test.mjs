import { Client, fetchExchange, subscriptionExchange } from '@urql/core';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { AUTHORIZATION, FEED, MUTATION, QUERY, URL_HTTP, URL_WS, manages } from './gateway.mjs';

manages('urql over WebSocket', () => open(overWebSocket()), codeOf);
manages('urql over HTTP', () => open({ fetchSubscriptions: true, close() {} }), codeOf);

function codeOf(error) {
  return error.graphQLErrors[0].extensions.code;
}

function overWebSocket() {
  const socket = createClient({ url: URL_WS, webSocketImpl: WebSocket, connectionParams: { authorization: AUTHORIZATION } });
  const exchange = subscriptionExchange({
    enableAllOperations: true,
    forwardSubscription: (request) => ({
      subscribe: (sink) => ({ unsubscribe: socket.subscribe({ ...request, query: request.query ?? '' }, sink) }),
    }),
  });
  return { exchanges: [exchange], close: () => socket.dispose() };
}

function open({ exchanges = [], fetchSubscriptions = false, close }) {
  const client = new Client({
    url: URL_HTTP,
    exchanges: [...exchanges, fetchExchange],
    fetchSubscriptions,
    preferGetMethod: false,
    fetchOptions: { headers: { authorization: AUTHORIZATION } },
  });
  const once = async ({ data, error }) => {
    if (error) throw error;
    return data;
  };
  return {
    query: async (variables) => once(await client.query(QUERY, variables).toPromise()),
    mutate: async (variables) => once(await client.mutation(MUTATION, variables).toPromise()),
    follow(variables, heard) {
      const running = client
        .subscription(FEED, variables)
        .subscribe(({ data, error }) => (error ? heard.error(error) : heard.result(data)));
      return () => running.unsubscribe();
    },
    close,
  };
}
