"""Streams by their public id, as REST paths name them."""

from processors.readable import Views
from schema.errors import ErrorCode, EsbError
from schema.principal import Action, Principal
from schema.stream import Stream


class StreamIds:
    """Finds a tenant's stream by id, for callers that may read it."""

    def __init__(self, views: Views) -> None:
        self._views = views

    async def find(self, principal: Principal, stream_id: str) -> Stream:
        """The stream; NOT_FOUND for another tenant's and for one the caller may not read: ids are not to be probed."""
        principal.require(Action.READ)
        for look in (self._views.view, self._views.refresh):
            for stream in (await look(principal.tenant)).streams:
                if stream.stream_id == stream_id and principal.may(Action.READ, stream.stream_name):
                    return stream
        raise EsbError(ErrorCode.NOT_FOUND, "there is no stream of that id that this token may read")
