// What ./__generated__ was compiled from, by relay-compiler 21.0.1 with schema/schema.graphql as `schema`, this folder as
// `src` and `eagerEsModules`. Committed, since the compiler brings 118 MB of programs.
import { graphql } from 'relay-runtime';

export const query = graphql`
  query relayEventsQuery($first: Int!) {
    events(first: $first) {
      asOf
      nodes {
        id
        eventType
      }
    }
  }
`;

export const mutation = graphql`
  mutation relayPublishMutation($event: EventInput!) {
    publishEvent(event: $event) {
      eventId
      position
    }
  }
`;

export const subscription = graphql`
  subscription relayFeedSubscription($from: From) {
    feed(from: $from) {
      __typename
      ... on Event {
        id
        payload
      }
    }
  }
`;
