"""Which of many texts a value begins with, ends with or contains: by their lengths in use and a hash of each."""

from collections import Counter
from collections.abc import Callable, Container, Hashable, Iterable, Iterator
from typing import Any

from processors.live.index.probe import scalar_key


class Affixes:
    """Beginnings, or (`ending`) ends, of texts. Finds those of every length in use, known or not."""

    __slots__ = ("_cut", "_lengths")

    def __init__(self, ending: bool) -> None:
        self._cut: Callable[[str, int], str] = _end if ending else _beginning
        self._lengths: Counter[int] = Counter()

    def add(self, key: str) -> None:
        """One more text of its length."""
        self._lengths[len(key)] += 1

    def remove(self, key: str) -> None:
        """One text less of its length."""
        self._lengths[len(key)] -= 1
        if not self._lengths[len(key)]:
            del self._lengths[len(key)]

    def find(self, value: str) -> Iterator[str]:
        """What may be known and `value` begins (ends) with."""
        return (self._cut(value, length) for length in self._lengths if length <= len(value))


def _beginning(value: str, length: int) -> str:
    return value[:length]


def _end(value: str, length: int) -> str:
    return value[len(value) - length :]


class Parts:
    """Elements of lists, and parts of texts."""

    __slots__ = ("_lengths",)

    def __init__(self) -> None:
        self._lengths: dict[int, dict[str, None]] = {}

    def add(self, key: Hashable) -> None:
        """One that is not there yet."""
        if isinstance(key, str):
            self._lengths.setdefault(len(key), {})[key] = None

    def remove(self, key: Hashable) -> None:
        """One that is there."""
        if isinstance(key, str):
            known = self._lengths[len(key)]
            del known[key]
            if not known:
                del self._lengths[len(key)]

    def find(self, value: Any) -> Iterable[Hashable]:
        """What may be known and `value` contains, each once."""
        if type(value) is list:
            return dict.fromkeys(scalar_key(item) for item in value if not isinstance(item, list | dict))
        return self._inside(value) if type(value) is str else ()

    def _inside(self, value: str) -> Iterator[str]:
        for length, known in self._lengths.items():
            windows = len(value) - length + 1
            if windows > len(known):
                yield from (part for part in known if part in value)
            elif windows > 0:
                yield from _windows(value, length, known)


def _windows(value: str, length: int, known: Container[str]) -> Iterable[str]:
    cut = (value[at : at + length] for at in range(len(value) - length + 1))
    return dict.fromkeys(part for part in cut if part in known)
