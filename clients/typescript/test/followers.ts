/** Each stock client, following a tenant's events over a client of graphql-ws. */
import { ApolloClient, gql, InMemoryCache } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { forwardSubscription } from '@event-streaming-bus/client';
import { Client as UrqlClient, subscriptionExchange } from '@urql/core';
import type { Client as SseClient } from 'graphql-sse';
import type { Client } from 'graphql-ws';

export const LIVE = /* GraphQL */ `
  subscription Live {
    events(where: { eventType: { pattern: "user.*" } }, from: { live: true }) {
      eventType
      payload
    }
  }
`;

export interface Seen {
  readonly eventType: string;
  readonly payload: { readonly n?: number };
}

interface Data {
  readonly events: Seen;
}

/** What a follower was given, and whether it is over. */
export class Follower {
  readonly numbers: number[] = [];
  readonly marks: string[] = [];
  readonly errors: unknown[] = [];
  completed = false;
  stop: () => void = () => undefined;

  next(data: Data | null | undefined): void {
    if (data?.events.payload.n !== undefined) this.numbers.push(data.events.payload.n);
    else if (data) this.marks.push(data.events.eventType);
  }
}

export function withGraphql(client: Client | SseClient<boolean>, query = LIVE): Follower {
  const follower = new Follower();
  follower.stop = client.subscribe<Data>(
    { query },
    {
      next({ data, errors }: { data?: Data | null | undefined; errors?: unknown }) {
        follower.next(data);
        if (errors) follower.errors.push(errors);
      },
      error: (error: unknown) => follower.errors.push(error),
      complete: () => (follower.completed = true),
    },
  );
  return follower;
}

export function withApollo(client: Client): Follower {
  const follower = new Follower();
  const apollo = new ApolloClient({ link: new GraphQLWsLink(client), cache: new InMemoryCache() });
  const subscription = apollo.subscribe<Data>({ query: gql(LIVE) }).subscribe({
    next({ data, error }) {
      follower.next(data);
      if (error) follower.errors.push(error);
    },
    error: (error) => follower.errors.push(error),
    complete: () => (follower.completed = true),
  });
  follower.stop = () => {
    subscription.unsubscribe();
    apollo.stop();
  };
  return follower;
}

export function withUrql(client: Client): Follower {
  const follower = new Follower();
  const urql = new UrqlClient({
    url: 'http://127.0.0.1/unused',
    preferGetMethod: false,
    exchanges: [subscriptionExchange({ forwardSubscription: forwardSubscription(client) })],
  });
  const subscription = urql.subscription<Data>(LIVE, {}).subscribe(({ data, error }) => {
    follower.next(data);
    if (error) follower.errors.push(error);
  });
  follower.stop = () => subscription.unsubscribe();
  return follower;
}
