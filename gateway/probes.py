"""What orchestrators ask: alive? ready? and the metrics they scrape."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import msgspec
import structlog
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.drain import Drain
from schema.errors import EsbError

CHECK_SECONDS = 2.0
FRESH_SECONDS = 0.5

Check = Callable[[], Awaitable[None]]

_log = structlog.get_logger(__name__)


class ReadinessReport(msgspec.Struct, frozen=True):
    """`missing`: what the process needs and does not have: name → why."""

    ready: bool
    checked: list[str]
    missing: dict[str, str]


class Readiness:
    """Whether requests should be sent here. `checks`: name → a coroutine that raises when the part cannot be used.

    Answers are kept for half a second: anyone may ask, and asking must not become a load on PostgreSQL.
    """

    def __init__(self, checks: Mapping[str, Check], drain: Drain) -> None:
        self._checks = checks
        self._drain = drain
        self._asking = asyncio.Lock()
        self._missing: dict[str, str] = {}
        self._asked_at = float("-inf")

    async def report(self) -> ReadinessReport:
        """Run the checks, all at once, each with a deadline of two seconds."""
        async with self._asking:
            if time.monotonic() - self._asked_at > FRESH_SECONDS:
                reasons = await asyncio.gather(*(_reason(name, check) for name, check in self._checks.items()))
                self._missing = {name: why for name, why in zip(self._checks, reasons, strict=True) if why is not None}
                self._asked_at = time.monotonic()
        missing = self._missing | ({"process": "it is draining"} if self._drain.begun else {})
        return ReadinessReport(not missing, list(self._checks), missing)


async def _reason(name: str, check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check()
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS:g} s"
    except EsbError as error:
        return error.message
    except Exception as error:
        # Its text may name hosts or users, and anyone may read this page: the log has the rest.
        _log.warning("readiness check failed", check=name, exc_info=True)
        return type(error).__name__
    return None


class Scraped(Protocol):
    """Where metrics come from."""

    async def scraped(self) -> bytes:
        """All of them, in Prometheus's text format."""


def probe_routes(readiness: Readiness, metrics: Scraped) -> list[Route]:
    """`/healthz`, `/readyz`, `/metrics`: without a token, and without anything a tenant would mind."""

    async def healthz(_request: Request) -> Response:
        return _json({"alive": True}, 200)

    async def readyz(_request: Request) -> Response:
        report = await readiness.report()
        return _json(report, 200 if report.ready else 503)

    async def scrape(_request: Request) -> Response:
        return Response(await metrics.scraped(), media_type=CONTENT_TYPE_LATEST)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", scrape)]


def _json(document: object, status: int) -> Response:
    return Response(msgspec.json.encode(document), status, {"cache-control": "no-store"}, "application/json")
