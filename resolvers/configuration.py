"""Streams as GraphQL says them, in the words of `schema.stream_input`."""

from typing import Any

from strawberry import UNSET

from processors.stream_admin import StreamInput, StreamPatch
from schema.graphql import streams as said
from schema.stream_input import RetentionInput


def stream_input_of(spoken: said.StreamInput) -> StreamInput:
    """A stream to create; what was left out or null takes its default."""
    return StreamInput(**{name: value for name, value in _given(spoken).items() if value is not None})


def patch_of(spoken: said.StreamPatch) -> StreamPatch:
    """A change: what was left out stays; null takes a limit away."""
    return StreamPatch(**_given(spoken))


def _given(spoken: said.StreamInput | said.StreamPatch) -> dict[str, Any]:
    given = {name: value for name, value in vars(spoken).items() if value is not UNSET}
    retention = given.get("retention_policy")
    if isinstance(retention, said.RetentionInput):
        given["retention_policy"] = RetentionInput(
            **{name: value for name, value in vars(retention).items() if value is not UNSET}
        )
    return given
