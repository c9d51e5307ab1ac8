"""Who looks after a data folder: kernel locks, which a killed process cannot leave behind."""

import fcntl
import os
from pathlib import Path


class Seat:
    """An advisory lock on a file (flock(2)), held by this object until `leave` or the process's end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def share(self) -> bool:
        """Sit down beside others; False while somebody sits alone."""
        return self._lock(fcntl.LOCK_SH)

    def take(self) -> bool:
        """Sit alone; False while others sit."""
        return self._lock(fcntl.LOCK_EX)

    def leave(self) -> None:
        """Free the seat; harmless when not sitting."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _lock(self, kind: int) -> bool:
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        self._file = file
        return True
