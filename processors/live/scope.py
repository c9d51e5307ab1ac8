"""Whether a running subscription may go on under another token of its caller."""

from processors.live.request import LiveRequest
from schema.principal import Action, Principal


def covers(principal: Principal, request: LiveRequest) -> bool:
    """Whether the caller may read all that the request was begun with.

    Where it named no streams, every pattern it could read by then must be granted still: what a subscription sees never
    changes while it runs.
    """
    if request.streams is not None:
        return all(principal.may(Action.READ, stream.stream_name) for stream in request.streams)
    now, then = principal.read_scope, request.principal.read_scope
    return now is None or (then is not None and then <= now)
