import pytest

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
