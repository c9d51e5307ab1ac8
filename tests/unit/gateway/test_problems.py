import json

import pytest

from gateway.problems import STATUS, close_code, graphql_extensions, problem
from schema.errors import ErrorCode, EsbError


def test_every_code_has_a_status() -> None:
    assert set(STATUS) == set(ErrorCode)


def test_a_problem_says_everything_and_nothing_empty() -> None:
    error = EsbError(ErrorCode.RATE_LIMITED, "slow down", retry_after_ms=1500, details={"limit": 3})
    response = problem(error, receipts=[])
    assert (response.status_code, response.headers["retry-after"]) == (429, "2")
    assert response.headers["content-type"] == "application/problem+json"
    assert json.loads(response.body) == {
        "type": "urn:esb:error:rate-limited",
        "title": "Rate limited",
        "status": 429,
        "detail": "slow down",
        "code": "RATE_LIMITED",
        "retryable": True,
        "retry_after_ms": 1500,
        "details": {"limit": 3},
        "receipts": [],
    }


def test_a_missing_token_is_answered_with_its_challenge() -> None:
    response = problem(EsbError(ErrorCode.UNAUTHENTICATED, "who?"))
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")


def test_graphql_extensions_are_the_contracts() -> None:
    said = graphql_extensions(EsbError(ErrorCode.TIMEOUT, "late"))
    assert said == {"code": "TIMEOUT", "retryable": True, "retryAfterMs": None, "requestId": None, "details": None}


@pytest.mark.parametrize(
    ("code", "close"),
    [
        (ErrorCode.UNAUTHENTICATED, 4403),
        (ErrorCode.SLOW_CONSUMER, 4429),
        (ErrorCode.CURSOR_EXPIRED, 4410),
        (ErrorCode.LOG_UNAVAILABLE, 1013),
        (ErrorCode.INTERNAL, 1011),
    ],
)
def test_close_codes(code: ErrorCode, close: int) -> None:
    assert close_code(EsbError(code, "")) == close
