import { ApolloClient, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { CombinedGraphQLErrors, CombinedProtocolErrors } from '@apollo/client/errors';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { AUTHORIZATION, FEED, MUTATION, QUERY, URL_HTTP, URL_WS, manages } from './gateway.mjs';

// GraphQLWsLink asks the browser's class what `closed` is; Node 20 has none
globalThis.WebSocket ??= WebSocket;

manages('Apollo Client over WebSocket', () => open(overWebSocket()), codeOf);
manages('Apollo Client over HTTP, subscriptions as multipart', () => open(overHttp()), codeOf);

function overWebSocket() {
  const client = createClient({ url: URL_WS, webSocketImpl: WebSocket, connectionParams: { authorization: AUTHORIZATION } });
  return { link: new GraphQLWsLink(client), close: () => client.dispose() };
}

function overHttp() {
  return { link: new HttpLink({ uri: URL_HTTP, headers: { authorization: AUTHORIZATION } }), close() {} };
}

function codeOf(error) {
  const known = CombinedGraphQLErrors.is(error) || CombinedProtocolErrors.is(error);
  return known ? error.errors[0].extensions.code : (error.cause ?? error)[0]?.extensions.code;
}

function open({ link, close }) {
  const client = new ApolloClient({ link, cache: new InMemoryCache() });
  return {
    query: async (variables) => (await client.query({ query: gql(QUERY), variables, fetchPolicy: 'no-cache' })).data,
    mutate: async (variables) => (await client.mutate({ mutation: gql(MUTATION), variables })).data,
    follow(variables, heard) {
      const running = client.subscribe({ query: gql(FEED), variables }).subscribe({
        next: ({ data, error }) => (error ? heard.error(error) : heard.result(data)),
        error: heard.error,
      });
      return () => running.unsubscribe();
    },
    close() {
      client.stop();
      return close();
    },
  };
}
