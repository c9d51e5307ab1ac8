"""The load generator's own tests: were its counting wrong, no figure and no soak would mean anything."""

import subprocess

from tests.load.programs import FOLDER


def test_the_generators_counting() -> None:
    for command in (["go", "vet", "./..."], ["go", "test", "./..."]):
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
