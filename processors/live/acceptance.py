"""What a live request may see of a log, and wants of it."""

from collections.abc import Callable

from processors.live.request import LiveRequest
from processors.live.source import Query
from schema.event import Event
from schema.filter.python import compile_filter
from schema.principal import Action, Principal
from schema.stream import StreamEngine


def query_of(request: LiveRequest, *, ledger: bool) -> Query:
    """The request's query of the ledger, or of one other stream."""
    wanted = compile_filter(request.where) if request.where is not None else None
    if not ledger:
        return Query(None, request.where, wanted or _anything)
    if request.streams is None:
        readable = _readable(request.principal)
        return Query(None, request.where, (wanted or _anything) if readable is None else _both(readable, wanted))
    streams = [stream for stream in request.streams if stream.engine is StreamEngine.LEDGER]
    names = frozenset(stream.stream_name for stream in streams)
    named = _both(lambda event: event.stream in names, wanted)
    return Query(frozenset(stream.key for stream in streams), request.where, named)


def _anything(_: Event) -> bool:
    return True


def _both(first: Callable[[Event], bool], second: Callable[[Event], bool] | None) -> Callable[[Event], bool]:
    if second is None:
        return first
    return lambda event: first(event) and second(event)


def _readable(principal: Principal) -> Callable[[Event], bool] | None:
    """Whether an event's stream may be read, also one made later; None: every stream may."""
    if any(grant.action is Action.READ and grant.streams == "*" for grant in principal.grants):
        return None
    known: dict[str, bool] = {}

    def readable(event: Event) -> bool:
        allowed = known.get(event.stream)
        if allowed is None:
            allowed = known[event.stream] = principal.may(Action.READ, event.stream)
        return allowed

    return readable
