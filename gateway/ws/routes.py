"""Which socket is served by what, in few layers: what stands before an endpoint is kept for the socket's life."""

from collections.abc import Awaitable, Mapping, Sequence

from starlette.routing import BaseRoute, Match, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send


class SocketRoutes:
    """Hands a WebSocket to the endpoint of its path. Not a coroutine itself: each costs a socket 300 bytes.

    Parameters
    ----------
    routes:
        Those that are no WebSocket's are left out.
    default:
        What serves a path that is nobody's.
    """

    def __init__(self, routes: Sequence[BaseRoute], default: ASGIApp) -> None:
        self._routes = [route for route in routes if isinstance(route, WebSocketRoute)]
        self._default = default

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """ASGI."""
        for route in self._routes:
            match, found = route.matches(scope)
            if match is Match.FULL:
                scope.update(found)
                return route.app(scope, receive, send)
        return self._default(scope, receive, send)


class ByKind:
    """One ASGI application of several: one for WebSockets, those of single paths, one for everything else."""

    def __init__(self, sockets: ASGIApp, paths: Mapping[str, ASGIApp], rest: ASGIApp) -> None:
        self._sockets = sockets
        self._paths = paths
        self._rest = rest

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """ASGI."""
        app = self._sockets if scope["type"] == "websocket" else self._paths.get(scope["path"], self._rest)
        return app(scope, receive, send)
