import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { AUTHORIZATION, FEED, MUTATION, QUERY, URL_WS, manages } from './gateway.mjs';

manages('graphql-ws', open, (error) => (error.cause ?? error)[0].extensions.code);

function open() {
  const client = createClient({ url: URL_WS, webSocketImpl: WebSocket, connectionParams: { authorization: AUTHORIZATION } });
  const once = async (query, variables) => {
    for await (const { data, errors } of client.iterate({ query, variables })) {
      if (errors) throw errors;
      return data;
    }
  };
  return {
    query: (variables) => once(QUERY, variables),
    mutate: (variables) => once(MUTATION, variables),
    follow: (variables, heard) =>
      client.subscribe({ query: FEED, variables }, { next: ({ data }) => heard.result(data), error: heard.error, complete() {} }),
    close: () => client.dispose(),
  };
}
