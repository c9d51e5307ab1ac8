"""What a live request may see of a log, and wants of it."""

from collections.abc import Callable, Collection, Hashable
from functools import lru_cache
from typing import Any

from processors.live.request import LiveRequest
from schema.event import Event
from schema.filter.ast import Filter
from schema.filter.normal import fingerprint
from schema.filter.python import compile_filter
from schema.principal import Action, Principal
from schema.stream import StreamEngine

_FINGERPRINTS = 4096


class LogQuery:
    """See `processors.live.source.Query`. `scope`: what decides about `readable`, reduced to that."""

    __slots__ = ("_accepts", "key", "names", "readable", "streams", "where")

    def __init__(
        self,
        where: Filter | None,
        streams: Collection[int] | None = None,
        names: frozenset[str] | None = None,
        scope: frozenset[str] | None = None,
        principal: Principal | None = None,
    ) -> None:
        self.where = where
        self.streams = streams
        self.names = names
        self.readable = None if scope is None or principal is None else _readable(principal)
        self.key: Hashable = (names, scope, None if where is None else _fingerprint(_Same(where)))
        self._accepts: Callable[[Event], bool] | None = None

    def accepts(self, event: Event) -> bool:
        """Whether an event is wanted and may be seen. The filter is compiled at the first call: who only follows
        live events leaves it to the index.
        """
        if self.names is not None and event.stream not in self.names:
            return False
        if self.readable is not None and not self.readable(event):
            return False
        if self.where is None:
            return True
        if self._accepts is None:
            self._accepts = compile_filter(self.where)
        return self._accepts(event)


def query_of(request: LiveRequest, *, ledger: bool) -> LogQuery:
    """The request's query of the ledger, or of one other stream."""
    if not ledger:
        return LogQuery(request.where)
    if request.streams is None:
        return LogQuery(request.where, scope=request.principal.read_scope, principal=request.principal)
    streams = [stream for stream in request.streams if stream.engine is StreamEngine.LEDGER]
    names = frozenset(stream.stream_name for stream in streams)
    return LogQuery(request.where, frozenset(stream.key for stream in streams), names)


def _readable(principal: Principal) -> Callable[[Event], bool]:
    """Whether an event's stream may be read, also one made later."""
    known: dict[str, bool] = {}

    def readable(event: Event) -> bool:
        allowed = known.get(event.stream)
        if allowed is None:
            allowed = known[event.stream] = principal.may(Action.READ, event.stream)
        return allowed

    return readable


class _Same:
    """A filter that is equal to itself only: subscribers often share the very object, and its values may be lists."""

    __slots__ = ("filter",)

    def __init__(self, filter: Filter) -> None:
        self.filter = filter

    def __hash__(self) -> int:
        return id(self.filter)

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, _Same) and self.filter is other.filter


@lru_cache(maxsize=_FINGERPRINTS)
def _fingerprint(same: _Same) -> bytes:
    return fingerprint(same.filter)
