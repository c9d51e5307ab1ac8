"""The operations in GraphiQL's tabs: what a newcomer tries first. Each is run against the schema by a test."""

from typing import Any

EXAMPLES: list[dict[str, Any]] = [
    {
        "query": """# Live: press play, then run `esb demo` in another terminal (or publish in the next tab).
subscription FollowFlights {
  feed(where: { eventType: { pattern: "flight.*" } }, from: { live: true }) {
    __typename
    cursor
    ... on Event { eventType aggregateId sequenceNumber timestamp payload }
  }
}
""",
    },
    {
        "query": """# Publish one event. It is answered after the commit; give an eventId to make retries safe.
mutation Publish($event: EventInput!) {
  publishEvent(event: $event) { eventId stream position sequenceNumber cursor duplicate }
}
""",
        "variables": {
            "event": {
                "eventType": "flight.departed",
                "aggregateType": "Aircraft",
                "aggregateId": "N14228",
                "payload": {"carrier": "UA", "flight": 1545, "origin": "EWR", "destination": "IAH", "delay_minutes": 2},
            }
        },
    },
    {
        "query": """# The past: late departures. `asOf` is where a subscription goes on without gap.
query LateDepartures($first: Int = 20, $after: String) {
  events(
    first: $first, after: $after, order: DESC
    where: { eventType: { eq: "flight.departed" }, payload: [{ path: "delay_minutes", gte: 30 }] }
  ) {
    nodes { eventType aggregateId timestamp delay: value(path: "payload.delay_minutes") }
    pageInfo { hasNextPage endCursor }
    asOf
  }
}
""",
    },
    {
        "query": """# Streams are configured logs. Events whose type matches eventPatterns go there.
mutation CreateStream {
  createStream(stream: { streamName: "flight-events", eventPatterns: ["flight.**"] }) {
    streamId streamName topicName engine eventPatterns
  }
}

query Streams {
  streams { nodes { streamName engine eventPatterns eventCount head } }
}
""",
    },
]
