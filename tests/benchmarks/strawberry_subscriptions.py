"""A peer of `fan-out`: GraphQL subscriptions on stock Strawberry and uvicorn, as the manuals show them.

One field with the ten fields of an event, a queue a subscriber. `POST /publish` takes a JSON array of events.

`python -m tests.benchmarks.strawberry_subscriptions PORT`
"""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from dataclasses import fields

import strawberry
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from strawberry.asgi import GraphQL
from strawberry.scalars import JSON

_waiting: set["asyncio.Queue[Event]"] = set()


@strawberry.type
class Event:
    event_id: strawberry.ID
    event_type: str
    event_version: str
    aggregate_id: strawberry.ID | None
    aggregate_type: str | None
    sequence_number: int | None
    timestamp: str
    recorded_at: str
    correlation_id: strawberry.ID | None
    payload: JSON


@strawberry.type
class Query:
    ok: bool = True


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def events(self) -> AsyncGenerator[Event, None]:
        queue: asyncio.Queue[Event] = asyncio.Queue()
        _waiting.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            _waiting.discard(queue)


async def publish(request: Request) -> PlainTextResponse:
    names = [field.name for field in fields(Event)]
    camel = {name: "".join(part.title() if n else part for n, part in enumerate(name.split("_"))) for name in names}
    for said in json.loads(await request.body()):
        event = Event(**{name: said[camel[name]] for name in names})
        for queue in _waiting:
            queue.put_nowait(event)
    return PlainTextResponse("ok")


def main(port: int) -> None:
    app = Starlette(
        routes=[
            Route("/publish", publish, methods=["POST"]),
            Mount("/", GraphQL(strawberry.Schema(query=Query, subscription=Subscription), graphql_ide=None)),
        ]
    )
    uvicorn.run(app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]))
