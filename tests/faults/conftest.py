"""Gateways and a database to be killed and frozen under load."""

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.services.external import Service
from tests.services.gateway import GatewayProcess
from tests.services.postgres import Databases

StartGateway = Callable[..., GatewayProcess]
StartGatewayOnDisk = Callable[[int], tuple[GatewayProcess, Path]]


@pytest.fixture
def fault_database_url(postgres_service: Service) -> Iterator[str]:
    """DSN of a fresh database, not migrated, on the PostgreSQL of ``postgres_service``."""
    with ExitStack() as stack:
        yield stack.enter_context(Databases(postgres_service.url).fresh())
        # The test may have left it frozen or dead, and dropping the database needs it.
        postgres_service.resume()
        postgres_service.start()


@pytest.fixture
def start_gateway(tmp_path: Path) -> Iterator[StartGateway]:
    """Starts gateways: ``start_gateway("one", {"ESB_POSTGRES_URL": …}, *more arguments of esb serve)``.

    All are stopped after the test, frozen ones too.
    """
    with ExitStack() as running:

        def start(name: str, settings: Mapping[str, str] | None = None, *arguments: str) -> GatewayProcess:
            process = GatewayProcess(tmp_path / name, settings, *arguments)
            running.callback(process.stop)
            process.start()
            return process

        yield start


@pytest.fixture
def start_gateway_on_disk(tmp_path: Path) -> Iterator[StartGatewayOnDisk]:
    """Starts an embedded gateway whose data folder is a file system of its own, of so many megabytes, a fifth of it
    taken by a ballast file whose path comes back too. Mounting needs root, as containers and CI have.
    """
    disk = tmp_path / "disk"
    with ExitStack() as stack:

        def start(megabytes: int) -> tuple[GatewayProcess, Path]:
            disk.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(disk)], check=True)
            stack.callback(subprocess.run, ["umount", "-l", str(disk)], check=True)
            ballast = disk / "ballast"
            ballast.write_bytes(bytes(megabytes * 1024 * 1024 // 5))
            process = GatewayProcess(disk / "data")
            stack.callback(process.stop)
            process.start()
            return process, ballast

        yield start
