"""Streams by their public id, as REST paths name them."""

from processors.readable import Views
from schema.errors import ErrorCode, EsbError
from schema.principal import Action, Principal
from schema.stream import Stream

_SHOWN_BY = (Action.READ, Action.PUBLISH, Action.MANAGE)


class StreamIds:
    """Finds a tenant's stream by id, for callers that may do something with it."""

    def __init__(self, views: Views) -> None:
        self._views = views

    async def find(self, principal: Principal, stream_id: str) -> Stream:
        """The stream; NOT_FOUND also for another tenant's and for one that is not shown to the caller."""
        for look in (self._views.view, self._views.refresh):
            for stream in (await look(principal.tenant)).streams:
                if stream.stream_id == stream_id and _is_shown(principal, stream):
                    return stream
        raise EsbError(ErrorCode.NOT_FOUND, "there is no stream of that id that this token may use")


def _is_shown(principal: Principal, stream: Stream) -> bool:
    return any(principal.may(action, stream.stream_name) for action in _SHOWN_BY)
