import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette

from gateway import probes
from gateway.drain import Drain
from gateway.probes import Readiness, probe_routes
from gateway.telemetry.metrics import Metrics
from schema.errors import ErrorCode, EsbError


class Parts:
    """A database that can be taken away, and a count of how often it was asked."""

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.asked = 0

    async def check(self) -> None:
        self.asked += 1
        if self.failure is not None:
            raise self.failure

    async def hang(self) -> None:
        await asyncio.Event().wait()


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Parts:
    monkeypatch.setattr(probes, "CHECK_SECONDS", 0.05)
    return Parts()


@pytest.fixture
def drain() -> Drain:
    return Drain()


def client(readiness: Readiness) -> httpx.AsyncClient:
    app = Starlette(routes=probe_routes(readiness, Metrics()))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://esb")


@pytest.fixture
async def http(parts: Parts, drain: Drain) -> AsyncIterator[httpx.AsyncClient]:
    async with client(Readiness({"postgresql": parts.check}, drain)) as made:
        yield made


async def test_ready_when_every_part_answers(http: httpx.AsyncClient) -> None:
    response = await http.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {"ready": True, "checked": ["postgresql"], "missing": {}}


async def test_what_is_missing_is_said(http: httpx.AsyncClient, parts: Parts) -> None:
    parts.failure = EsbError(ErrorCode.LOG_UNAVAILABLE, "PostgreSQL does not answer")
    response = await http.get("/readyz")
    assert response.status_code == 503
    assert response.json()["missing"] == {"postgresql": "PostgreSQL does not answer"}


async def test_a_failure_nobody_foresaw_keeps_its_words(http: httpx.AsyncClient, parts: Parts) -> None:
    parts.failure = OSError("password of secret-host")
    assert (await http.get("/readyz")).json()["missing"] == {"postgresql": "OSError"}


async def test_a_part_that_hangs_does_not_hang_the_probe(parts: Parts, drain: Drain) -> None:
    async with client(Readiness({"kafka": parts.hang, "postgresql": parts.check}, drain)) as http:
        async with asyncio.timeout(2):
            missing = (await http.get("/readyz")).json()["missing"]
    assert list(missing) == ["kafka"]
    assert "no answer" in missing["kafka"]


async def test_a_storm_of_probes_asks_once(http: httpx.AsyncClient, parts: Parts) -> None:
    await asyncio.gather(*(http.get("/readyz") for _ in range(50)))
    assert parts.asked == 1


async def test_recovery_is_seen(http: httpx.AsyncClient, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "FRESH_SECONDS", 0.0)
    parts.failure = OSError()
    assert (await http.get("/readyz")).status_code == 503
    parts.failure = None
    assert (await http.get("/readyz")).status_code == 200


async def test_a_draining_process_is_alive_and_not_ready(http: httpx.AsyncClient, drain: Drain) -> None:
    drain.begin()
    response = await http.get("/readyz")
    assert (response.status_code, response.json()["missing"]) == (503, {"process": "it is draining"})
    assert (await http.get("/healthz")).json() == {"alive": True}


async def test_metrics_are_in_prometheus_format(http: httpx.AsyncClient) -> None:
    response = await http.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    assert "# TYPE esb_events_published_total counter" in response.text
