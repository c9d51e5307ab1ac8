"""The routes of a gateway, and nothing else: which path is served by what."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from gateway.auth.origins import Origins
from gateway.drain import Drain
from gateway.probes import Readiness, Scraped, probe_routes
from gateway.problems import problem
from gateway.request_context import RequestContext
from gateway.rest.guard import Guard, esb_error, http_exception
from gateway.rest.openapi import openapi_route
from gateway.ws.events import EventSocket
from gateway.ws.routes import ByKind, SocketRoutes
from schema.errors import ErrorCode, EsbError

RoutesOf = Callable[[Guard], Sequence[BaseRoute]]


@dataclass(frozen=True)
class Gateway:
    """What the routes lead to, made in gateway.wiring.

    `rest`: what is served under /api/v1, each asked for its routes with the guard they stand behind.
    `schema_registry`: those of /schemaregistry. `graphql`: routes of /graphql, which authenticate by themselves.
    `hosts`: the Host headers that are answered.
    """

    rest: Sequence[RoutesOf]
    schema_registry: RoutesOf
    graphql: Sequence[BaseRoute]
    event_socket: EventSocket
    guard: Guard
    origins: Origins
    readiness: Readiness
    metrics: Scraped
    drain: Drain
    hosts: Sequence[str] = ("*",)


def create_app(gateway: Gateway) -> ASGIApp:
    """The ASGI application. It has no lifespan: what it leads to is started before it and stopped after it."""
    return ByKind(_sockets(gateway), _direct(gateway), _http(gateway))


def _http(gateway: Gateway) -> ASGIApp:
    api = [route for routes in gateway.rest for route in routes(gateway.guard)]
    app = Starlette(
        routes=[
            Route("/", _to_graphiql),
            *gateway.graphql,
            # public: a client generator has no token, and it says nothing of any tenant
            Mount("/api/v1", Router([openapi_route(), *api], redirect_slashes=False)),
            Mount("/schemaregistry", Router(gateway.schema_registry(gateway.guard), redirect_slashes=False)),
            *probe_routes(gateway.readiness, gateway.metrics),
        ],
        middleware=_layers(gateway),
        exception_handlers={EsbError: esb_error, HTTPException: http_exception},
    )
    # a redirect to the path without its last slash would name the Host header, which anybody may write
    app.router.redirect_slashes = False
    app.router.default = _nothing_here
    return app


def _sockets(gateway: Gateway) -> ASGIApp:
    """Without Starlette's layers, which mean nothing to a WebSocket and would be kept for each while it is open."""
    app = SocketRoutes([*gateway.graphql, gateway.event_socket.route()], _no_socket_here)
    return _within([Middleware(RequestContext), *_hosts(gateway.hosts)], app)


def _direct(gateway: Gateway) -> dict[str, ASGIApp]:
    """What takes every method at one path and says its refusals itself has no use for a router: by path."""
    routes = [route for route in gateway.graphql if isinstance(route, Route)]
    layers = _layers(gateway)
    return {
        route.path: _within(layers, route.app)
        for route in routes
        if route.methods is None and not route.param_convertors
    }


def _layers(gateway: Gateway) -> list[Middleware]:
    """What stands before every answer."""
    return [Middleware(RequestContext), *_hosts(gateway.hosts), *gateway.origins.cors()]


def _within(layers: Sequence[Middleware], app: ASGIApp) -> ASGIApp:
    """The application within its layers, the first outermost."""
    for layer in reversed(layers):
        app = layer.cls(app, *layer.args, **layer.kwargs)
    return app


def _hosts(hosts: Sequence[str]) -> list[Middleware]:
    if "*" in hosts:
        return []
    return [Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)]


async def _nothing_here(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise HTTPException(404)


async def _no_socket_here(scope: Scope, receive: Receive, send: Send) -> None:
    refusal = EsbError(ErrorCode.NOT_FOUND, "there is nothing at this path")
    await WebSocket(scope, receive, send).send_denial_response(problem(refusal))


async def _to_graphiql(_request: Request) -> Response:
    return RedirectResponse("/graphql", 307)
