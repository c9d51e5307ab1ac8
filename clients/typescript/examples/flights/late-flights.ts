/** The late flights of `esb demo`: those there are, then those to come. Run it with a token as its argument. */
import { createResumingClient, listThenLive } from '@event-streaming-bus/client';
import { WebSocket } from 'ws';
import { graphql } from './gql/index.js';

const LATE = graphql(`
  query LateFlights($first: Int) {
    events(where: { expression: "event.payload.delay_minutes > 15" }, first: $first, order: DESC) {
      nodes { position timestamp aggregateId payload }
      asOf
    }
  }
`);

const LIVE = graphql(`
  subscription LateFlightsLive {
    events(where: { expression: "event.payload.delay_minutes > 15" }) {
      position timestamp aggregateId payload
    }
  }
`);

const url = process.argv[3] ?? 'ws://127.0.0.1:8000/graphql';
const client = createResumingClient({ url, token: process.argv[2] ?? '', webSocketImpl: WebSocket });

const { data, live } = await listThenLive(client, {
  list: { query: LATE, variables: { first: 20 } },
  live: { query: LIVE },
});
for (const flight of data.events.nodes.toReversed()) show(flight.position, flight.aggregateId);
for await (const flight of live) show(flight.position, flight.aggregateId);

function show(position: number | null | undefined, aircraft: string | null | undefined): void {
  console.log(position, aircraft);
}
