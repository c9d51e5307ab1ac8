"""``make soak``: resumption under chaos and the fault tests, over and over, each round with another seed, until the
time is up or one fails.
"""

import argparse
import os
import secrets
import signal
import subprocess
import sys
import time

from tests.services.external import VARIABLES, environment


def main() -> int:
    """0 when every round passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    minutes = parser.parse_args().minutes
    end = time.monotonic() + minutes * 60
    rounds = 0
    with environment(*VARIABLES) as settings:
        while time.monotonic() < end:
            seed = secrets.randbelow(2**32)
            if code := subprocess.run([sys.executable, "-m", "tests.soak_resume"], check=False).returncode:
                print(f"Round {rounds + 1} failed: resumption under chaos.", file=sys.stderr)
                return code
            for services in ("external", "embedded"):
                if code := one_round(services, seed, dict(settings)):
                    print(f"Round {rounds + 1} failed on {services} services, seed {seed}.", file=sys.stderr)
                    return code
            rounds += 1
            print(f"Round {rounds} passed, {max(0.0, end - time.monotonic()) / 60:.0f} minutes left.", flush=True)
    return 0


def one_round(services: str, seed: int, settings: dict[str, str]) -> int:
    """All fault tests of one kind of services; the seed is also in ``SEED`` for tests that choose by chance."""
    chosen = {"ESB_TEST_SERVICES": services, "SEED": str(seed), **(settings if services == "external" else {})}
    inherited = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    command = [sys.executable, "-m", "pytest", "-q", "-x", f"--hypothesis-seed={seed}", "tests/faults"]
    return subprocess.run(command, env={**inherited, **chosen}, check=False).returncode


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what was started is stopped
    sys.exit(main())
