import { createClient as createSseClient } from 'graphql-sse';
import { createClient } from 'graphql-ws';
import relay from 'relay-runtime';
import WebSocket from 'ws';
import { AUTHORIZATION, FEED, MUTATION, QUERY, URL_HTTP, URL_WS, manages } from './gateway.mjs';
import query from './relay/__generated__/relayEventsQuery.graphql.js';
import subscription from './relay/__generated__/relayFeedSubscription.graphql.js';
import mutation from './relay/__generated__/relayPublishMutation.graphql.js';

const { Environment, Network, Observable, RecordSource, Store, commitMutation, fetchQuery, requestSubscription } = relay;

manages("Relay's environment, subscriptions over WebSocket", () => environment(overWebSocket()), codeOf);
manages("Relay's environment, subscriptions as event streams", () => environment(overEventStreams()), codeOf);
manages("Relay's network alone, without compiled artefacts", () => network(overWebSocket()), codeOf);

// where an error came from decides where it is: the subscription's transport, our fetch, or Relay's own wrapping
function codeOf(error) {
  return (error.source?.errors ?? error.errors ?? error)[0].extensions.code;
}

function overWebSocket() {
  return createClient({ url: URL_WS, webSocketImpl: WebSocket, connectionParams: { authorization: AUTHORIZATION } });
}

function overEventStreams() {
  return createSseClient({ url: URL_HTTP, headers: { authorization: AUTHORIZATION } });
}

function networkOver(client) {
  const fetchFn = async ({ text }, variables) => {
    const headers = { authorization: AUTHORIZATION, 'content-type': 'application/json' };
    const answer = await fetch(URL_HTTP, { method: 'POST', headers, body: JSON.stringify({ query: text, variables }) });
    return answer.json();
  };
  const subscribeFn = ({ text, name }, variables) =>
    Observable.create((sink) => client.subscribe({ operationName: name, query: text, variables }, sink));
  return Network.create(fetchFn, subscribeFn);
}

function environment(client) {
  const made = new Environment({ network: networkOver(client), store: new Store(new RecordSource()) });
  return {
    query: (variables) => fetchQuery(made, query, variables).toPromise(),
    mutate: (variables) =>
      new Promise((resolve, reject) => {
        const onCompleted = (data, errors) => (errors ? reject(errors) : resolve(data));
        commitMutation(made, { mutation, variables, onCompleted, onError: reject });
      }),
    follow(variables, heard) {
      const running = requestSubscription(made, { subscription, variables, onNext: heard.result, onError: heard.error });
      return () => running.dispose();
    },
    close: () => client.dispose(),
  };
}

function network(client) {
  const made = networkOver(client);
  const execute = (operationKind, name, text, variables) => made.execute({ operationKind, name, text, id: null }, variables, {});
  const once = async (kind, name, text, variables) => {
    const { data, errors } = await execute(kind, name, text, variables).toPromise();
    if (errors) throw errors;
    return data;
  };
  return {
    query: (variables) => once('query', 'Events', QUERY, variables),
    mutate: (variables) => once('mutation', 'Publish', MUTATION, variables),
    follow(variables, heard) {
      const running = execute('subscription', 'Feed', FEED, variables).subscribe({
        next: ({ data, errors }) => (errors ? heard.error(errors) : heard.result(data)),
        error: heard.error,
      });
      return () => running.unsubscribe();
    },
    close: () => client.dispose(),
  };
}
