"""The npm package in clients/typescript: built, then its own tests, with the real clients, on a real gateway."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.end_to_end.backstage import backstage
from tests.services.gateway import GatewayProcess

# nothing of this depends on which PostgreSQL it is
pytestmark = pytest.mark.embedded_only

PACKAGE = Path(__file__).parents[2] / "clients" / "typescript"


def npm(*arguments: str, **variables: str) -> None:
    """Run npm in the package; what it printed is shown where it fails."""
    found = shutil.which("npm")
    assert found, "the tests of clients/typescript need Node.js 20 or newer, with npm"
    command = [found, "--no-update-notifier", "--loglevel=error", *arguments]
    environment = {**os.environ, **variables}
    done = subprocess.run(
        command, cwd=PACKAGE, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert not done.returncode, f"npm {' '.join(arguments)}:\n{done.stdout[-20_000:]}{done.stderr[-5_000:]}"


@pytest.fixture(scope="module")
def built() -> None:
    installed = PACKAGE / "node_modules" / ".package-lock.json"
    wanted = PACKAGE / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < wanted.stat().st_mtime:
        npm("ci", "--ignore-scripts", "--no-audit", "--no-fund")
    npm("run", "build")


@pytest.fixture(scope="module")
def running(
    gateway_settings: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, str]]:
    """A gateway the tests may stop and start."""
    gateway = GatewayProcess(tmp_path_factory.mktemp("typescript") / "gateway", gateway_settings)
    gateway.start()
    try:
        with backstage(gateway) as url:
            yield {"ESB_TEST_GATEWAY": gateway.url, "ESB_TEST_BACKSTAGE": url}
    finally:
        gateway.stop()


@pytest.mark.usefixtures("built")
def test_the_clients_lose_nothing(running: Mapping[str, str]) -> None:
    npm("test", **running)


@pytest.mark.usefixtures("built")
def test_code_generator_types_the_example_and_it_compiles() -> None:
    npm("run", "example")
    made = (PACKAGE / "examples" / "flights" / "gql" / "graphql.ts").read_text()
    results = re.findall(r"^export type \w+(?:Query|Subscription) = .*?;$", made, re.MULTILINE | re.DOTALL)
    assert len(results) == 2
    for result in results:
        assert "position: number | null, timestamp: string" in result
        assert "payload: Json" in result
        assert not re.search(r"\b(any|unknown)\b", result)
