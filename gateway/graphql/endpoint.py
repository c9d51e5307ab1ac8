"""GraphQL at one address: queries and mutations, event streams, sockets, and the page to explore them with."""

from collections.abc import Awaitable, Callable

from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.auth.authenticator import Authenticator
from gateway.auth.credentials import Credentials
from gateway.auth.origins import Origins
from gateway.auth.sessions import Sessions
from gateway.drain import Drain
from gateway.graphql.connections import Connections
from gateway.graphql.http import GraphQLHttp
from gateway.graphql.limits import ConnectionLimits, OperationLimits
from gateway.graphql.operations import Operations
from gateway.graphql.page import Page
from gateway.graphql.reservations import Reservations
from gateway.graphql.socket import Socket
from gateway.graphql.socket_door import SocketDoor
from gateway.graphql.trusted import TrustedDocuments
from gateway.telemetry.tracing import Tracing
from resolvers.context import Services
from resolvers.schema import graphql_schema

PATH = "/graphql"


class GraphQLEndpoint:
    """Everything at /graphql. `start` before the first request, `stop` after the last."""

    def __init__(
        self,
        *,
        services: Services,
        authenticator: Authenticator,
        credentials: Credentials,
        origins: Origins,
        dev_token: Callable[[HTTPConnection], str | None],
        tracing: Tracing,
        drain: Drain,
        sessions: Sessions,
        operation_limits: OperationLimits | None = None,
        connection_limits: ConnectionLimits | None = None,
        trusted: TrustedDocuments | None = None,
    ) -> None:
        limits = operation_limits or OperationLimits()
        self._operations = Operations(graphql_schema(), services, limits, trusted)
        self._connections = Connections(connection_limits or ConnectionLimits(), drain, sessions)
        self._reservations = Reservations(self._operations, self._connections)
        self._door = SocketDoor(authenticator, credentials, origins, services.live.pacer)
        self._page = Page(dev_token)
        self._http = GraphQLHttp(
            operations=self._operations,
            connections=self._connections,
            reservations=self._reservations,
            credentials=credentials,
            page=self._page,
            tracing=tracing,
            body_bytes=limits.body_bytes,
        )

    def routes(self) -> list[BaseRoute]:
        """The routes to mount in the application."""
        return [
            *self._page.routes(PATH),
            Route(PATH, _Asgi(self._http)),
            WebSocketRoute(PATH, _Asgi(self._socket)),
        ]

    async def start(self) -> None:
        """Begin to look after open connections."""
        await self._connections.start()

    async def stop(self) -> None:
        """Stop. May be called twice."""
        self._reservations.close()
        await self._connections.stop()

    def subscriptions(self) -> int:
        """How many live subscriptions are open, for telemetry."""
        return self._connections.subscriptions()

    def _socket(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return Socket(
            scope, receive, send, door=self._door, operations=self._operations, connections=self._connections
        ).serve()


class _Asgi:
    """An ASGI application as Starlette's routes want it: an object, since functions are taken for request handlers.

    No coroutine itself: its frame would be kept as long as a socket is open.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self._app(scope, receive, send)
