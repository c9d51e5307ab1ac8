import type { Client } from 'graphql-ws';
import type { Payload } from './place.js';

/** The same as urql's `forwardSubscription`: for `subscriptionExchange({ forwardSubscription: … })`. */
interface Observer {
  next(result: never): void;
  error(error: unknown): void;
  complete(): void;
}

/** Lets urql's `subscriptionExchange` use a client: `subscriptionExchange({ forwardSubscription: forwardSubscription(client) })`. */
export function forwardSubscription(client: Client) {
  return (request: Partial<Payload>) => ({
    subscribe(observer: Observer): { unsubscribe: () => void } {
      const payload = { ...request, query: request.query ?? '' };
      return { unsubscribe: client.subscribe(payload, observer as Observer & { next(result: unknown): void }) };
    },
  });
}
