"""Which streams a caller may read: for queries and live subscriptions alike."""

from collections.abc import Sequence
from typing import Protocol

from schema.errors import ErrorCode, EsbError
from schema.principal import Action, Principal
from schema.stream import Stream, StreamEngine


class View(Protocol):
    """A tenant's streams as this process sees them."""

    @property
    def streams(self) -> Sequence[Stream]:
        """Every stream that was not deleted."""


class Views(Protocol):
    """Where the views come from."""

    async def view(self, tenant: str) -> View:
        """The view this process holds."""

    async def refresh(self, tenant: str) -> View:
        """The view as the store has it now."""


class ReadableStreams:
    """Finds streams for readers."""

    def __init__(self, views: Views) -> None:
        self._views = views

    async def named(self, principal: Principal, names: Sequence[str]) -> tuple[Stream, ...]:
        """The streams of these names, of any engine, each once.

        Raises FORBIDDEN before it looks, so that nobody learns which streams there are; BAD_INPUT for an empty list,
        UNKNOWN_STREAM.
        """
        if not names:
            raise EsbError(ErrorCode.BAD_INPUT, "streams must name a stream; leave it out to read all ledger streams")
        for name in names:
            principal.require(Action.READ, name)
        found = _by_name(await self._views.view(principal.tenant))
        if not found.keys() >= set(names):
            # another process may have made it a moment ago: ask the store before saying no
            found = _by_name(await self._views.refresh(principal.tenant))
        missing = [name for name in names if name not in found]
        if missing:
            raise EsbError(
                ErrorCode.UNKNOWN_STREAM, f"there is no stream {missing[0]!r}", details={"stream": missing[0]}
            )
        return tuple(found[name] for name in dict.fromkeys(names))

    async def ledger_keys(self, principal: Principal) -> list[int] | None:
        """Keys of every ledger stream the caller may read; None: all there are and were, deleted ones included.

        Raises FORBIDDEN for a caller who may read nothing at all.
        """
        principal.require(Action.READ)
        if any(grant.action is Action.READ and grant.streams == "*" for grant in principal.grants):
            return None
        view = await self._views.view(principal.tenant)
        return [
            stream.key
            for stream in view.streams
            if stream.engine is StreamEngine.LEDGER and principal.may(Action.READ, stream.stream_name)
        ]

    async def of_name(self, tenant: str, name: str) -> Stream | None:
        """The stream of that name, if it is there and was not deleted."""
        return _by_name(await self._views.view(tenant)).get(name)


def _by_name(view: View) -> dict[str, Stream]:
    return {stream.stream_name: stream for stream in view.streams}
