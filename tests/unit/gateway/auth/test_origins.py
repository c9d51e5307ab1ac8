import httpx
import pytest
from starlette.applications import Starlette

from gateway.auth.origins import Origins
from schema.errors import ErrorCode, EsbError


@pytest.mark.parametrize(
    ("allowed", "headers"),
    [
        ((), {"host": "esb.example"}),
        ((), {"origin": "https://esb.example", "host": "esb.example"}),
        ((), {"origin": "http://127.0.0.1:8000", "host": "127.0.0.1:8000"}),
        (("https://app.example",), {"origin": "https://app.example", "host": "esb.example"}),
        (("https://app.example",), {"origin": "https://APP.example", "host": "esb.example"}),
        (("*",), {"origin": "null", "host": "esb.example"}),
    ],
)
def test_pages_that_may_call(allowed: tuple[str, ...], headers: dict[str, str]) -> None:
    Origins(allowed).check(headers)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "",
        "https://esb.example.evil.example",
        "http://app.example",
        "https://esb.example:1",
    ],
)
def test_pages_that_may_not(origin: str) -> None:
    with pytest.raises(EsbError) as caught:
        Origins(["https://app.example"]).check({"origin": origin, "host": "esb.example"})
    assert caught.value.code is ErrorCode.FORBIDDEN


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
async def test_a_page_that_may_call_passes_the_preflight_of_every_protocol(method: str) -> None:
    """graphql-sse's single connection mode sends PUT and DELETE, and a header of its own."""
    app = Starlette(middleware=Origins(["https://app.example"]).cors())
    asked = {
        "access-control-request-method": method,
        "access-control-request-headers": "authorization,content-type,x-graphql-event-stream-token",
    }
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://esb.example") as client:
        for origin, status in (("https://app.example", 200), ("https://evil.example", 400)):
            answer = await client.options("/graphql", headers=asked | {"origin": origin})
            assert answer.status_code == status, answer.text
