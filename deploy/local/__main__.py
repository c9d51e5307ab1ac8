"""Services for work by hand: ``python -m deploy.local start|stop|status`` (``make services``)."""

import argparse
import sys

from deploy.local.packages import kafka_jars
from deploy.local.services import LocalServices, ServiceFailed, installed, lasting


def main() -> int:
    """Do what the command line says; errors in one line."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    parser.add_argument("command", choices=["start", "stop", "status"])
    command = parser.parse_args().command
    try:
        {"start": start, "stop": stop, "status": status}[command]()
    except ServiceFailed as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def start() -> None:
    """Start all that does not run, and print the settings as a shell takes them."""
    services = installed(lasting())
    services.start()
    for name, value in services.environment().items():
        print(f"export {name}={value}")


def stop() -> None:
    """Stop all; start brings back their data."""
    _found().stop()


def status() -> None:
    """One line a service."""
    services = _found()
    for service in (services.postgres, services.kafka, services.redis):
        state = "running" if service.running() else "stopped"
        print(f"{type(service).__name__:10} {state:8} {service.folder}")


def _found() -> LocalServices:
    return LocalServices(lasting(), kafka_jars())


if __name__ == "__main__":
    sys.exit(main())
