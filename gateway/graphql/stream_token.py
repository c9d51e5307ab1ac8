"""The token that names a reserved event stream: where requests carry it, and which worker it leads to."""

from secrets import token_urlsafe

from starlette.requests import HTTPConnection
from starlette.types import Scope

HEADER = "x-graphql-event-stream-token"
_HOME = "esb.home"


def token_of(connection: HTTPConnection) -> str | None:
    """The token of a request, if it has one."""
    said = connection.headers.get(HEADER)
    if said or not connection.scope["query_string"]:
        return said or None
    return connection.query_params.get("token")


def new_token(scope: Scope) -> str:
    """A token of the worker that serves the request; the first one's where there is no other."""
    return f"{scope.get('extensions', {}).get(_HOME, 0)}.{token_urlsafe(24)}"


def at_home(scope: Scope, number: int) -> None:
    """Note on a request which worker serves it."""
    scope.setdefault("extensions", {})[_HOME] = number


def home_of(token: str) -> int | None:
    """The worker a token was made by; None for what no worker made."""
    number, dot, _ = token.partition(".")
    return int(number) if dot and number.isascii() and number.isdigit() and len(number) < 4 else None
