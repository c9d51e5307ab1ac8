"""The operations in GraphiQL's tabs: what a newcomer tries first. Each is run against the schema by a test.

The demo's stream and its aggregates are left to the demo: an `Aircraft` published here into another stream would be
pinned there, and `esb demo` refused.
"""

from typing import Any

EXAMPLES: list[dict[str, Any]] = [
    {
        "query": """# Live. Press play, then run this in another terminal:
#   .venv/bin/esb demo
subscription LateFlights {
  events(
    where: {
      eventType: { eq: "flight.departed" }
      expression: "event.payload.delay_minutes > 15"
    }
    from: { live: true }
  ) {
    position
    timestamp
    aggregateId
    sequenceNumber
    payload
    cursor
  }
}
""",
    },
    {
        "query": """# Streams are configured logs. Events whose type matches
# eventPatterns go there.
mutation CreateStream {
  createStream(
    stream: {
      streamName: "user-events"
      eventPatterns: ["user.**"]
    }
  ) {
    streamId
    streamName
    engine
    eventPatterns
  }
}

query Streams {
  streams {
    nodes { streamName engine eventPatterns eventCount head }
  }
}
""",
    },
    {
        "query": """# Publish one event; the tab before makes its stream.
# It is answered after the commit. With an eventId of your
# own a retry is safe.
mutation Publish($event: EventInput!) {
  publishEvent(event: $event) {
    eventId
    stream
    position
    sequenceNumber
    cursor
    duplicate
  }
}
""",
        "variables": {
            "event": {
                "eventType": "user.created",
                "aggregateType": "User",
                "aggregateId": "usr_12345",
                "payload": {"user_name": "john.doe"},
            }
        },
    },
    {
        "query": """# The past, page by page: put endCursor into $after.
# A subscription from asOf goes on without gap.
query LateDepartures($first: Int = 20, $after: String) {
  events(
    first: $first
    after: $after
    order: DESC
    where: {
      eventType: { eq: "flight.departed" }
      payload: [{ path: "delay_minutes", gte: 30 }]
    }
  ) {
    nodes {
      aggregateId
      timestamp
      delay: value(path: "payload.delay_minutes")
    }
    pageInfo { hasNextPage endCursor }
    asOf
  }
}
""",
    },
    {
        "query": """# Every event, with the end of a backfill, gaps and
# progress said out loud.
subscription Feed {
  feed(from: { beginning: true }) {
    __typename
    cursor
    ... on Event { eventType aggregateId payload }
  }
}
""",
    },
]
