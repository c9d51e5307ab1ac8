"""Installs what the local services need: Debian packages, and Kafka's official jars by Maven. Repeatable and cached."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from deploy.local.service import ServiceFailed, run_quietly

KAFKA = "4.1.0"
POM = Path(__file__).parent / "kafka_jars" / "pom.xml"
PROGRAMS: Mapping[str, str] = {
    "redis-server": "redis-server",
    "kcat": "kcat",
    "java": "default-jre-headless",
    "mvn": "maven",
}
"""Program → the Debian package that brings it."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class CannotInstall(ServiceFailed):
    """This machine lacks a program and we cannot install it."""


def install() -> Path:
    """Install what is missing; return the folder with Kafka's jars.

    Raises
    ------
    CannotInstall
        Not root, or not a Debian: the message names the packages.
    """
    missing = missing_packages()
    if missing:
        install_debian(missing)
    return kafka_jars()


def browser() -> str:
    """A Chromium to show pages in, installed where there is none."""
    for program in BROWSERS:
        if found := shutil.which(program):
            return found
    install_debian(["chromium"], "Tests need a browser:")
    return BROWSERS[0]


def missing_packages() -> list[str]:
    """The Debian packages whose programs are not there."""
    missing = [package for program, package in PROGRAMS.items() if not shutil.which(program)]
    if not any(Path("/usr/lib/postgresql").glob("*/bin/initdb")) and not shutil.which("initdb"):
        missing.append("postgresql")
    return missing


def install_debian(packages: list[str], why: str = "Tests need real services. Start Docker, or") -> None:
    """Install packages by apt-get, without starting what they bring. `why`: how a refusal begins."""
    names = " ".join(packages)
    if not shutil.which("apt-get"):
        raise CannotInstall(f"{why} install what these packages bring: {names}")
    if os.geteuid() != 0:
        raise CannotInstall(f"{why} run: sudo apt-get install {names}")
    # RUNLEVEL=1 keeps the packages' own services from starting: ours run on free ports, with folders of their own.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *packages]):
        done = subprocess.run(["apt-get", *command], env=environment, check=False, capture_output=True, text=True)
        if done.returncode:
            raise CannotInstall(f"apt-get {' '.join(command)} failed:\n{(done.stdout + done.stderr)[-2000:]}")


def kafka_jars() -> Path:
    """The folder with Kafka's jars, fetched once a machine.

    It is filled aside and renamed, so that an interrupted or a second, simultaneous run never leaves half of them.
    """
    jars = cache() / f"kafka-{KAFKA}"
    if jars.exists():
        return jars
    jars.parent.mkdir(parents=True, exist_ok=True)
    draft = jars.with_name(f"{jars.name}.{os.getpid()}")
    copy = ("dependency:copy-dependencies", f"-DoutputDirectory={draft}")
    run_quietly("mvn", "-q", "-B", "-f", str(POM), *copy, cwd=POM.parent)
    try:
        draft.rename(jars)
    except OSError:
        shutil.rmtree(draft)  # another run was faster
    return jars


def cache() -> Path:
    """Where downloads are kept (XDG Base Directory)."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "event-streaming-bus"
