"""A past event as it is published again: what it said, marked as a replay, under an id that follows from its place.

The id is the same whoever makes it and however often: what was published before a crash, or by another process, is
known by it and not published again.
"""

import hashlib

import msgspec
from ulid_transform import bytes_to_ulid, ulid_to_bytes

from schema.event import Event
from schema.input import EventInput
from schema.replay import Replay


class Copies:
    """Makes the copies of one replay."""

    def __init__(self, replay: Replay) -> None:
        self._id = replay.replay_id
        self._stream = replay.plan.stream
        self._began = ulid_to_bytes(replay.replay_id.removeprefix("rpl_"))[:6]
        self._salt = hashlib.sha256(replay.replay_id.encode()).digest()[:5]
        self._keys = {source.name: source.key for source in replay.plan.sources}

    def of(self, event: Event) -> EventInput:
        """What to publish for the event, by a principal without a name: see the worker's."""
        aggregate_type = event.aggregate_type
        mark = {"id": self._id, "of": event.event_id, "stream": event.stream}
        if aggregate_type is not None and event.aggregate_id is not None:
            # An aggregate's history is one, in one stream: a copy of it is another aggregate's history.
            mark["aggregate_type"] = aggregate_type
            aggregate_type = f"{self._stream}/{aggregate_type}"
        return EventInput(
            event_id=self.event_id(event),
            event_type=event.event_type,
            event_version=event.event_version,
            source_capability=event.source_capability,
            aggregate_id=event.aggregate_id,
            aggregate_type=aggregate_type,
            timestamp=event.timestamp,
            correlation_id=event.correlation_id,
            causation_id=event.causation_id,
            user_id=event.user_id,
            metadata=msgspec.Raw(_marked(event, msgspec.json.encode(mark))),
            payload=event.payload,
            schema_version=event.schema_version,
            stream=self._stream,
        )

    def event_id(self, event: Event) -> str:
        """Its copy's id: when the replay began, and 80 bits that no other event of any replay has."""
        if event.position is not None:
            # ascending with the position, so that the index of ids grows at its end
            own = self._salt + event.position.to_bytes(5)
        else:
            place = f"{self._id} {self._keys[event.stream]} {event.partition} {event.offset}"
            own = hashlib.sha256(place.encode()).digest()[:10]
        return "evt_" + bytes_to_ulid(self._began + own)

    def is_copy(self, made: Event, event: Event) -> bool:
        """Whether an event found under a copy's id is that copy."""
        metadata = made.metadata_document
        mark = metadata.get("replay") if isinstance(metadata, dict) else None
        return isinstance(mark, dict) and (mark.get("id"), mark.get("of")) == (self._id, event.event_id)


def _marked(event: Event, mark: bytes) -> bytes:
    """The metadata with the mark in it, otherwise as it was published, to the byte where that can be."""
    known = event.metadata_document
    if not isinstance(known, dict) or not known:
        return b'{"replay":%b}' % mark
    if "replay" in known:
        return msgspec.json.encode({**known, "replay": msgspec.Raw(mark)})
    return b'%b,"replay":%b}' % (bytes(event.metadata).rstrip()[:-1], mark)
