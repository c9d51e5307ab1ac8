"""The whole test run, as ``make test`` starts it: everything embedded, then everything on real services.

Every phase runs even when one before it failed, so that one run tells all. The last line sums up, as pytest's does.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tests.services.external import VARIABLES, environment

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "build" / "test-results"
ACCEPTANCE = Path(os.environ.get("ESB_ACCEPTANCE", ROOT.parent / "shared" / "acceptance"))
PHASE_MINUTES = 25
READY = ("spine", "event_sourcing")
"""The acceptance scripts whose product is built, in the order they run."""
NOT_READY = frozenset({"schemas_are_checked_enforced_upcast_and_typed"})
"""Their checks that are left out: upcasters and typed payloads are being built."""


@dataclass
class Tally:
    """How many tests passed and failed; a phase that broke off counts as a failure."""

    passed: int = 0
    failed: int = 0

    def add(self, passed: int, failed: int, code: int) -> None:
        self.passed += passed
        self.failed += failed or bool(code)


def main(arguments: Sequence[str]) -> int:
    """Run all phases; ``arguments`` go to pytest. 0 when nothing failed."""
    started = time.monotonic()
    tally = Tally()
    _clear_results()
    phase(tally, "embedded", {}, arguments)
    with environment(*VARIABLES) as settings:
        phase(tally, "external", settings, arguments)
    seconds = time.monotonic() - started
    failed = f"{tally.failed} failed, " if tally.failed else ""
    print(f" {failed}{tally.passed} passed in {seconds:.2f}s ".center(80, "="), flush=True)
    return 1 if tally.failed or not tally.passed else 0


def phase(tally: Tally, services: str, settings: Mapping[str, str], arguments: Sequence[str]) -> None:
    """Pytest, then the acceptance scripts where they are there, on the same services."""
    inherited = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    variables = {**inherited, **settings, "ESB_TEST_SERVICES": services}
    title(f"pytest, {services} services")
    report = RESULTS / f"{services}.xml"
    code = run([sys.executable, "-m", "pytest", f"--junitxml={report}", *arguments], variables)
    tally.add(*_from_report(report), code)
    for name in READY:
        accept(tally, ACCEPTANCE / f"{name}.py", services, variables)


def accept(tally: Tally, script: Path, services: str, variables: Mapping[str, str]) -> None:
    """One acceptance script, but for its checks that are not ready."""
    if not script.exists():
        title(f"no {script}: set ESB_ACCEPTANCE")
        return
    title(f"acceptance, {script.stem}, {services} services")
    output = RESULTS / f"{services}-acceptance-{script.stem}.txt"
    code = run([sys.executable, str(script), *_checks(script)], variables, output)
    tally.add(*_from_output(output), code)


def _checks(script: Path) -> list[str]:
    """The names to run; none where all are: a script without names runs everything it has."""
    names = re.findall(r"^@check\n(?:async )?def (\w+)", script.read_text(), re.MULTILINE)
    ready = [name for name in names if name not in NOT_READY]
    return ready if len(ready) < len(names) else []


def run(command: Sequence[str], variables: Mapping[str, str], output: Path | None = None) -> int:
    """Run one command to its end, shown here and kept in ``output``; one that hangs is ended."""
    shown = ["bash", "-o", "pipefail", "-c", f'"$@" 2>&1 | tee "{output}"', "run", *command] if output else command
    child = subprocess.Popen(shown, cwd=ROOT, env=dict(variables), start_new_session=True)
    try:
        return child.wait(PHASE_MINUTES * 60)
    except subprocess.TimeoutExpired:
        title(f"ended after {PHASE_MINUTES} minutes")
        return 1
    finally:
        if child.poll() is None:
            _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    os.killpg(child.pid, signal.SIGTERM)  # pytest stops its services on the way out
    try:
        child.wait(60)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def title(text: str) -> None:
    print(f"\n{f' {text} '.center(80, '-')}", flush=True)


def _clear_results() -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    for old in RESULTS.iterdir():
        old.unlink()


def _from_report(report: Path) -> tuple[int, int]:
    if not report.exists():
        return 0, 0
    suite = ElementTree.parse(report).getroot()[0]
    count = {name: int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")}
    failed = count["failures"] + count["errors"]
    return count["tests"] - failed - count["skipped"], failed


def _from_output(output: Path) -> tuple[int, int]:
    found = re.findall(r"^(\d+) passed, (\d+) failed$", output.read_text(errors="replace"), re.MULTILINE)
    return (int(found[-1][0]), int(found[-1][1])) if found else (0, 0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what was started is stopped
    sys.exit(main(sys.argv[1:]))
