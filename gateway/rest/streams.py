"""Streams: `/api/v1/streams` and `/api/v1/streams/{stream_id}`."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.problems import BODY_JSON
from gateway.rest.body import converted, decoded, read_json
from gateway.rest.guard import Guard
from gateway.rest.query import limit_of
from gateway.rest.stream_ids import StreamIds
from processors.stream_admin import StreamAdmin, StreamInput, StreamPatch
from schema.errors import bad_input
from schema.principal import Principal
from schema.stream import Retention, Stream

_MAX_BODY = 64 * 1024
# The specification writes these values in lower case, the contract's enums in upper case: both are understood here.
_ENUMS = ("engine", "compression", "cleanup_policy", "schema_enforcement")

_decoder = msgspec.json.Decoder(dict[str, Any])
_encoder = msgspec.json.Encoder()


class StreamBody(msgspec.Struct):
    """A stream as the specification shows it ("Stream Configuration"), and where its events are committed."""

    stream_id: str
    stream_name: str
    topic_name: str
    engine: str
    partitions: int
    replication_factor: int
    retention_policy: Retention
    compression: str
    cleanup_policy: str
    event_patterns: tuple[str, ...]
    schema_enforcement: str


class StreamListBody(msgspec.Struct):
    """A page of streams by name; `after` asks for the next one, null at the end."""

    streams: list[StreamBody]
    after: str | None


class StreamApi:
    """The endpoints that list and configure streams."""

    def __init__(self, streams: StreamAdmin, ids: StreamIds) -> None:
        self._streams = streams
        self._ids = ids

    def routes(self, guard: Guard) -> list[Route]:
        """The routes, guarded."""
        one = "/streams/{stream_id}"
        return [
            Route("/streams", guard(self.list_streams), methods=["GET"]),
            Route("/streams", guard(self.create_stream), methods=["POST"]),
            Route(one, guard(self.get_stream), methods=["GET"]),
            Route(one, guard(self.change_stream), methods=["PATCH"]),
            Route(one, guard(self.delete_stream), methods=["DELETE"]),
        ]

    async def list_streams(self, principal: Principal, request: Request) -> Response:
        """A page of the streams the caller may read, by name: `limit`, `after` (a stream's name)."""
        limit, after = limit_of(request.query_params), request.query_params.get("after", "")
        found = sorted(await self._streams.list(principal), key=lambda stream: stream.stream_name)
        rest = [stream for stream in found if stream.stream_name > after]
        more = rest[limit - 1].stream_name if len(rest) > limit else None
        return _answer(StreamListBody([_shown(stream) for stream in rest[:limit]], more))

    async def create_stream(self, principal: Principal, request: Request) -> Response:
        """201 with the new stream."""
        said = converted(_upper_case(await _document(request)), StreamInput, "the stream")
        made = await self._streams.create(principal, said)
        return _answer(_shown(made), 201, {"location": f"/api/v1/streams/{made.stream_id}"})

    async def get_stream(self, principal: Principal, request: Request) -> Response:
        """One stream."""
        return _answer(_shown(await self._ids.find(principal, request.path_params["stream_id"])))

    async def change_stream(self, principal: Principal, request: Request) -> Response:
        """Changes what is given, and nothing else."""
        stream = await self._ids.find(principal, request.path_params["stream_id"])
        said = await _document(request)
        fixed = sorted(said.keys() & {"partitions", "engine", "stream_name", "topic_name", "replication_factor"})
        if fixed:
            raise bad_input(f"{fixed[0]} never changes", field=fixed[0])
        patch = converted(_upper_case(said), StreamPatch, "the change")
        return _answer(_shown(await self._streams.patch(principal, stream.stream_name, patch)))

    async def delete_stream(self, principal: Principal, request: Request) -> Response:
        """Deletes the stream; its events stay, and its name does not come back."""
        stream = await self._ids.find(principal, request.path_params["stream_id"])
        return _answer(_shown(await self._streams.delete(principal, stream.stream_name)))


async def _document(request: Request) -> dict[str, Any]:
    return decoded(_decoder, await read_json(request, _MAX_BODY), "the stream")


def _upper_case(said: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.upper() if name in _ENUMS and isinstance(value, str) else value for name, value in said.items()}


def _shown(stream: Stream) -> StreamBody:
    return StreamBody(
        stream_id=stream.stream_id,
        stream_name=stream.stream_name,
        topic_name=stream.topic_name,
        engine=stream.engine.lower(),
        partitions=stream.partitions,
        replication_factor=stream.replication_factor,
        retention_policy=stream.retention_policy,
        compression=stream.compression.lower(),
        cleanup_policy=stream.cleanup_policy.lower(),
        event_patterns=stream.event_patterns,
        schema_enforcement=stream.schema_enforcement.lower(),
    )


def _answer(body: msgspec.Struct, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(_encoder.encode(body), status, headers, BODY_JSON)
