"""The lock is what gets installed: a dependency only in pyproject.toml would be missing on every new machine."""

import re
import tomllib
from pathlib import Path

import pytest


def test_every_pinned_dependency_is_locked_at_its_version(pytestconfig: pytest.Config) -> None:
    root: Path = pytestconfig.rootpath
    project = tomllib.loads((root / "pyproject.toml").read_text())
    wanted = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    pinned = {re.sub(r"\[.*\]", "", requirement).lower() for requirement in wanted}
    locked = {line.split(" ;")[0] for line in (root / "requirements.lock").read_text().splitlines()}
    assert pinned - locked == set(), "run `make lock`"
