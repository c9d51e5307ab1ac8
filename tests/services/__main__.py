"""Runs a command with PostgreSQL, Kafka and Redis there for it: ``python -m tests.services COMMAND …``."""

import os
import signal
import subprocess
import sys

from tests.services.external import VARIABLES, environment


def main() -> int:
    """Start what the environment does not name, run the command with the ``ESB_*`` settings, return its exit code."""
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    with environment(*VARIABLES) as settings:
        for name, value in settings.items():
            print(f"{name}={value}", flush=True)
        return subprocess.run(sys.argv[1:], env={**os.environ, **settings}, check=False).returncode


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what was started is stopped
    sys.exit(main())
