"""Under which account PostgreSQL runs, and what that account must be able to reach.

PostgreSQL refuses to run as root, so a gateway started by root hands its server to an account of its own.
"""

import logging
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from store.embedded.postmaster import EmbeddedPostgresError

log = logging.getLogger(__name__)

_NAME = "pgserver"
_LAST_RESORT = "nobody"
_TRAVERSE = 0o011


class Account(NamedTuple):
    """The server's account. `switch`: whether a child process must change to it, which only root can."""

    uid: int
    gid: int
    switch: bool

    @property
    def popen(self) -> dict[str, Any]:
        """What `subprocess.Popen` needs to start a child under this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.switch else {}

    def own(self, path: Path) -> None:
        """Give `path` to the account and to nobody else."""
        if self.switch:
            os.chown(path, self.uid, self.gid)
        path.chmod(0o700)

    def own_tree(self, folder: Path) -> None:
        """Give a folder and all that is in it to the account."""
        for path, _, files in os.walk(folder):
            os.chown(path, self.uid, self.gid)
            for name in files:
                os.chown(os.path.join(path, name), self.uid, self.gid, follow_symlinks=False)


def account_for(cluster: Path) -> Account:
    """The account for the data in `cluster`, or for data about to be made there.

    Data that exist keep their owner, by number: in a new container the name may be missing or stand for another one.
    Raises EmbeddedPostgresError when the data belong to somebody else and we are not root.
    """
    owner = cluster.stat() if cluster.exists() else None
    if os.geteuid() != 0:
        if owner is not None and owner.st_uid != os.geteuid():
            raise EmbeddedPostgresError(
                f"{cluster} belongs to user {owner.st_uid}, but this process runs as user {os.geteuid()}: "
                "start it as that user or as root, or choose another data folder"
            )
        return Account(os.geteuid(), os.getegid(), switch=False)
    if owner is not None and owner.st_uid != 0:
        return Account(owner.st_uid, owner.st_gid, switch=True)
    account = _make()
    if owner is not None:
        account.own_tree(cluster)
    return account


def _make() -> Account:
    """The account for new data: a system account of its own, or the last resort where none can be made."""
    import pwd

    try:
        entry = pwd.getpwnam(_NAME)
    except KeyError:
        try:
            subprocess.run(
                ["useradd", "--system", "--no-create-home", "--shell", shutil.which("nologin") or "/bin/false", _NAME],
                check=True,
                capture_output=True,
                timeout=30,
            )
        except (OSError, subprocess.SubprocessError) as failure:
            log.warning("cannot make the account %s (%s): PostgreSQL will run as %s", _NAME, failure, _LAST_RESORT)
            entry = pwd.getpwnam(_LAST_RESORT)
        else:
            entry = pwd.getpwnam(_NAME)
    return Account(entry.pw_uid, entry.pw_gid, switch=True)


def let_through(folder: Path) -> None:
    """Make `folder` reachable for the server's account: x, and no more, on each folder above it and on itself.

    Needed under root alone, whose folders are often closed to others. Nothing becomes listable or readable by it.
    """
    for place in (folder, *folder.parents):
        mode = place.stat().st_mode
        if mode & _TRAVERSE != _TRAVERSE:
            log.info("letting the PostgreSQL account pass through %s", place)
            place.chmod(mode | _TRAVERSE)


def let_run(binaries: Path) -> None:
    """Make the package's programs readable where an installation under a strict umask closed them."""
    if (binaries / "postgres").stat().st_mode & 0o005 == 0o005:
        return
    for path, _, files in os.walk(binaries.parents[1]):
        os.chmod(path, os.stat(path).st_mode | 0o055)  # noqa: S103 -- programs anybody may have from the package index
        for name in files:
            file = os.path.join(path, name)
            mode = os.stat(file).st_mode
            os.chmod(file, mode | 0o044 | (0o011 if mode & 0o100 else 0))
