"""Builds the programs of this folder: Go's into build/load, Node's peer where it stands."""

import os
import subprocess
from pathlib import Path

FOLDER = Path(__file__).parent
BUILT = FOLDER.parents[1] / "build" / "load"
NODE_PEER = FOLDER / "graphql_ws_peer"


def build() -> Path:
    """The folder with `live` and `centrifuge`, built where something changed. Raises RuntimeError with Go's words."""
    BUILT.mkdir(parents=True, exist_ok=True)
    _run(["go", "build", "-o", f"{BUILT}{os.sep}", "./cmd/..."], FOLDER)
    return BUILT


def node_peer() -> list[str]:
    """The command of the graphql-ws peer, its modules installed as its lock says; a port is to follow."""
    installed = NODE_PEER / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < (NODE_PEER / "package-lock.json").stat().st_mtime:
        _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], NODE_PEER)
    return ["node", str(NODE_PEER / "server.mjs")]


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
