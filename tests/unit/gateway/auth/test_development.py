import pytest
from starlette.requests import Request

from gateway.auth.development import DevelopmentToken
from gateway.auth.roles import Roles
from gateway.auth.token_issuer import TokenIssuer
from gateway.settings import Settings

HERE = ("127.0.0.1", 5000)


def page(host: str, client: tuple[str, int] | None = HERE, **headers: str) -> Request:
    raw = [(b"host", host.encode())] + [(k.encode(), v.encode()) for k, v in headers.items()]
    return Request({"type": "http", "headers": raw, "client": client})


def token(settings: Settings, request: Request) -> str | None:
    return DevelopmentToken(settings, TokenIssuer(b"k" * 32, Roles())).for_page(request)


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "localhost", "[::1]:8000"])
def test_a_page_opened_on_this_machine_carries_a_token(host: str) -> None:
    made = token(Settings(dev=True), page(host))
    assert made is not None
    assert made.startswith("eyJ")


@pytest.mark.parametrize(
    ("settings", "request_"),
    [
        (Settings(), page("127.0.0.1:8000")),
        (Settings(dev=True), page("evil.example")),
        (Settings(dev=True), page("127.0.0.1.evil.example:8000")),
        (Settings(dev=True), page("")),
        (Settings(dev=True), page("127.0.0.1:8000", ("192.0.2.7", 1))),
        (Settings(dev=True), page("127.0.0.1:8000", None)),
        (Settings(dev=True), page("127.0.0.1:8000", origin="http://127.0.0.1:3000")),
        (Settings(dev=True, host="0.0.0.0"), page("127.0.0.1:8000")),
    ],
)
def test_every_other_page_does_not(settings: Settings, request_: Request) -> None:
    assert token(settings, request_) is None
