"""`esb doctor`: what is configured, whether it can be reached, which version it is, and what to do about it."""

import asyncio
import os
import shutil
import socket
import sys
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from gateway.settings import Settings
from store.embedded import attach

_DEADLINE_S = 8.0
_LEAST_POSTGRES = 150_000
_MEMBER = "select coalesce((select pg_has_role(current_user, oid, $2) from pg_roles where rolname = $1), false)"
_LEAST_FREE_BYTES = 2 * 1024**3


class Health(StrEnum):
    """How a part is: `off` is a part that is not configured and not needed."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    OFF = "off"


class Finding(NamedTuple):
    """What was found of one part. `advice`: what to do, empty where there is nothing to do."""

    part: str
    health: Health
    found: str
    advice: str = ""


async def examine(settings: Settings) -> list[Finding]:
    """Look at every part, each within a deadline."""
    checks: list[tuple[str, Callable[[Settings], Awaitable[Finding]]]] = [
        ("python", _python),
        ("workers", _workers),
        ("data folder", _data_folder),
        ("postgresql", _postgres),
        ("kafka", _kafka),
        ("redis", _redis),
        ("gateway", _gateway),
    ]
    return [await _within(part, check, settings) for part, check in checks]


def show(findings: list[Finding], console: Console) -> None:
    """A table for people."""
    colours = {Health.OK: "green", Health.WARNING: "yellow", Health.FAILED: "red", Health.OFF: "dim"}
    table = Table(box=None, pad_edge=False)
    for heading in ("part", "health", "found", "what to do"):
        table.add_column(heading)
    for finding in findings:
        health = f"[{colours[finding.health]}]{finding.health}[/]"
        table.add_row(finding.part, health, finding.found, finding.advice)
    console.print(table)


async def _within(part: str, check: Callable[[Settings], Awaitable[Finding]], settings: Settings) -> Finding:
    try:
        return await asyncio.wait_for(check(settings), _DEADLINE_S)
    except TimeoutError:
        return Finding(
            part, Health.FAILED, f"no answer within {_DEADLINE_S:g} s", "is it running, and is it overloaded?"
        )
    except Exception as error:
        return Finding(
            part, Health.FAILED, f"{type(error).__name__}: {str(error)[:200]}", "see the message on the left"
        )


async def _python(_: Settings) -> Finding:
    return Finding("python", Health.OK, f"{sys.version.split()[0]} at {sys.prefix}")


async def _workers(settings: Settings) -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = f"{settings.workers} on {cores} core(s)"
    if settings.workers > cores:
        return Finding("workers", Health.WARNING, found, "more processes than cores take turns; set ESB_WORKERS lower")
    return Finding("workers", Health.OK, found)


async def _data_folder(settings: Settings) -> Finding:
    folder = settings.data_dir
    standing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(standing, os.W_OK):
        return Finding("data folder", Health.FAILED, f"{folder} cannot be written", "choose another --data-dir")
    free = shutil.disk_usage(standing).free
    found = f"{folder}, {free / 1024**3:.1f} GiB free"
    if free < _LEAST_FREE_BYTES:
        return Finding("data folder", Health.WARNING, found, "make room: a full disk stops publishing")
    return Finding("data folder", Health.OK, found)


async def _postgres(settings: Settings) -> Finding:
    import asyncpg

    dsn = settings.postgres_url or attach(settings.data_dir)
    kind = "ESB_POSTGRES_URL" if settings.postgres_url else "embedded"
    if dsn is None:
        return Finding("postgresql", Health.OFF, "embedded, not running", "`esb serve` starts it")
    try:
        connection = await asyncpg.connect(dsn, timeout=5)
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        return Finding("postgresql", Health.FAILED, f"{kind}: {error}", "check user and password in ESB_POSTGRES_URL")
    except OSError as error:
        return Finding("postgresql", Health.FAILED, f"{kind}: {error}", "start PostgreSQL, or check ESB_POSTGRES_URL")
    try:
        return await _postgres_rights(connection, dsn, kind, settings)
    finally:
        await connection.close()


async def _postgres_rights(connection: Any, dsn: str, kind: str, settings: Settings) -> Finding:
    from store.migrate import current, newest

    version = await connection.fetchval("show server_version")
    found = f"{kind}: PostgreSQL {version}"
    number = int(await connection.fetchval("show server_version_num"))
    if number < _LEAST_POSTGRES:
        return Finding("postgresql", Health.FAILED, found, "15 or newer is needed")
    at, head = await asyncio.to_thread(current, dsn), newest()
    if at != head:
        return Finding(
            "postgresql", Health.WARNING, f"{found}, schema {at or 'missing'}", f"`esb migrate` brings {head}"
        )
    role = settings.postgres_reader_role
    member = await connection.fetchval(_MEMBER, role, "SET" if number >= 160_000 else "MEMBER")
    if not member:
        advice = f"as an administrator: CREATE ROLE {role} NOLOGIN; GRANT {role} TO the owner of the database"
        return Finding("postgresql", Health.FAILED, f"{found}, no right to SET ROLE {role}", advice)
    return Finding("postgresql", Health.OK, f"{found}, schema {at}")


async def _kafka(settings: Settings) -> Finding:
    if not settings.kafka_servers:
        return Finding("kafka", Health.OFF, "not configured", "set ESB_KAFKA_SERVERS for the relay and KAFKA streams")
    from aiokafka.admin import AIOKafkaAdminClient

    from store.log.kafka_client import running

    client = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_servers, request_timeout_ms=5000)
    async with running(client, deadline_s=_DEADLINE_S):
        cluster = await client.describe_cluster()
    return Finding("kafka", Health.OK, f"{settings.kafka_servers}: {len(cluster['brokers'])} broker(s)")


async def _redis(settings: Settings) -> Finding:
    if not settings.redis_url:
        return Finding("redis", Health.OFF, "not configured", "set ESB_REDIS_URL for REDIS streams and faster signals")
    from redis.asyncio import Redis

    client = Redis.from_url(settings.redis_url, socket_timeout=5, socket_connect_timeout=5)
    try:
        info = await client.info("server")
    finally:
        await client.aclose()
    return Finding("redis", Health.OK, f"Redis {info['redis_version']}")


async def _gateway(settings: Settings) -> Finding:
    import httpx

    url = f"http://{settings.host}:{settings.port}"
    try:
        async with httpx.AsyncClient(timeout=5) as client:
            answer = await client.get(url + "/readyz")
    except httpx.HTTPError:
        if _taken(settings.host, settings.port):
            return Finding("gateway", Health.FAILED, f"{url} is held by something else", "choose another --port")
        return Finding("gateway", Health.OFF, f"nothing at {url}", "`esb serve` starts it")
    if answer.status_code == 200:
        return Finding("gateway", Health.OK, f"{url} is ready")
    return Finding("gateway", Health.WARNING, f"{url} is not ready: {answer.text[:200]}", "see what is missing")


def _taken(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def failed(findings: list[Finding]) -> bool:
    """Whether something configured does not work."""
    return any(finding.health is Health.FAILED for finding in findings)
