"""Patterns over dotted names: `*` stands for exactly one segment, `**` for any number of them, none included.

`order.*` matches `order.created`; `order.**` matches `order`, `order.created` and `order.item.added`.
"""

import re
from functools import lru_cache

from schema.errors import bad_input

MAX_PATTERN_CHARS = 256
MAX_PATTERN_SEGMENTS = 32

ONE = "*"
ANY = "**"


class TypePattern:
    """A pattern, checked and taken apart. Raises BAD_INPUT."""

    __slots__ = ("segments", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.segments = _segments(text)

    def matches(self, name: str) -> bool:
        """Whether the whole of `name` matches."""
        return _matches(self.segments, name.split("."))

    @property
    def prefix(self) -> tuple[str, ...]:
        """The segments before the first wildcard."""
        for index, segment in enumerate(self.segments):
            if segment in (ONE, ANY):
                return self.segments[:index]
        return self.segments

    @property
    def regex(self) -> str:
        """A regular expression for "." + name that Python (DOTALL, fullmatch) and PostgreSQL (anchored) read alike."""
        parts = {ONE: r"\.[^.]*", ANY: r"(?:\.[^.]*)*"}
        return "".join(parts.get(segment) or r"\." + re.escape(segment) for segment in self.segments)

    @property
    def literalness(self) -> tuple[int, int, int]:
        """The larger, the more literal: without wildcards first, then more literal segments, then fewer wildcards."""
        ones, anys = self.segments.count(ONE), self.segments.count(ANY)
        return (not ones and not anys, len(self.segments) - ones - anys, -(ones + 100 * anys))


def _segments(text: str) -> tuple[str, ...]:
    if not isinstance(text, str) or not text:
        raise bad_input("a pattern is a text such as order.* or order.**")
    if len(text) > MAX_PATTERN_CHARS:
        raise bad_input(f"a pattern has at most {MAX_PATTERN_CHARS} characters")
    if "\0" in text or not text.isprintable():
        raise bad_input("a pattern has printable characters only", pattern=text)
    segments = text.split(".")
    if len(segments) > MAX_PATTERN_SEGMENTS:
        raise bad_input(f"a pattern has at most {MAX_PATTERN_SEGMENTS} segments")
    for segment in segments:
        if not segment:
            raise bad_input(f"pattern {text!r} has an empty segment", pattern=text)
        if "*" in segment and segment not in (ONE, ANY):
            raise bad_input(f"pattern {text!r}: * and ** stand alone between dots, as in order.*", pattern=text)
    # ** next to ** says nothing more and would only cost.
    return tuple(s for i, s in enumerate(segments) if not (s == ANY and i and segments[i - 1] == ANY))


def _matches(pattern: tuple[str, ...], names: list[str]) -> bool:
    """Greedy, going back to the last ** only: never more than len(pattern) x len(names) steps."""
    p = n = 0
    back_p, back_n = -1, 0
    while n < len(names):
        if p < len(pattern) and pattern[p] == ANY:
            back_p, back_n = p, n
            p += 1
        elif p < len(pattern) and pattern[p] in (ONE, names[n]):
            p += 1
            n += 1
        elif back_p >= 0:
            back_n += 1
            p, n = back_p + 1, back_n
        else:
            return False
    return all(segment == ANY for segment in pattern[p:])


@lru_cache(maxsize=4096)
def parse_pattern(text: str) -> TypePattern:
    """The pattern of a text, kept for the next time. Raises BAD_INPUT."""
    return TypePattern(text)


def validate_pattern(text: str) -> None:
    """Raise BAD_INPUT unless `text` is a pattern."""
    parse_pattern(text)


def matches(pattern: str, name: str) -> bool:
    """Whether the event type `name` matches `pattern`. Raises BAD_INPUT for what is no pattern."""
    return parse_pattern(pattern).matches(name)


def literalness(pattern: str) -> tuple[int, int, int]:
    """Sort key: the larger, the more literal (`sorted(patterns, key=literalness, reverse=True)`)."""
    return parse_pattern(pattern).literalness
