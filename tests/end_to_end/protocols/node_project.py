"""The clients of this folder, installed by npm into the build folder and run there."""

import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = Path(__file__).parents[3] / "build" / "protocols"


class NodeProject:
    """This folder's package, installed."""

    def __init__(self) -> None:
        found = shutil.which("npm"), shutil.which("node")
        assert all(found), "these tests need Node.js 20 or newer, with npm"
        self._npm, self._node = map(str, found)

    def install(self) -> None:
        """Copy the package, and install what its lock names where that is not there yet."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        lock = (HERE / "package-lock.json").read_bytes()
        installed = FOLDER / "node_modules" / ".installed"
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, FOLDER)
        if not installed.exists() or installed.read_bytes() != lock:
            quiet = ("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
            self._run([self._npm, "ci", "--ignore-scripts", *quiet], {})
            installed.write_bytes(lock)

    def test(self, file: str, **variables: str) -> None:
        """Run one file of tests; what it printed is shown where it fails."""
        for source in HERE.glob("*.mjs"):
            shutil.copy(source, FOLDER)
        shutil.copytree(HERE / "relay", FOLDER / "relay", dirs_exist_ok=True)
        self._run([self._node, "--test", "--test-reporter=spec", file], variables)

    def _run(self, command: list[str], variables: dict[str, str]) -> None:
        done = subprocess.run(
            command,
            cwd=FOLDER,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert not done.returncode, f"{' '.join(command)}:\n{done.stdout[-20_000:]}{done.stderr[-5_000:]}"
