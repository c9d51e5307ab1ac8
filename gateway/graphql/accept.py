"""Content negotiation (RFC 9110, section 12.5.1): which of the offered media types the client likes best."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
JSON_TYPES = (JSON, GRAPHQL_JSON)
"""What a whole response comes as; the first where nothing is asked for."""

_REMEMBERED_CHARS = 256


class _Range(NamedTuple):
    media: str
    quality: float
    order: int


def preferred(accept: str | None, offered: Sequence[str], *, wildcards: bool = True) -> str | None:
    """The best of `offered`, or None where the client takes none of them. Without a header: the first.

    Equal qualities are decided by what the client names first, and a name goes before a wildcard. Without `wildcards`
    only what the client names counts.
    """
    if not accept or not accept.strip():
        return offered[0] if wildcards else None
    # browsers and clients say the same few headers again and again
    choose = _remembered if len(accept) <= _REMEMBERED_CHARS else _chosen
    return choose(accept, tuple(offered), wildcards)


def _chosen(accept: str, offered: tuple[str, ...], wildcards: bool) -> str | None:
    ranges = _ranges(accept)
    best: tuple[float, bool, int, int] | None = None
    chosen = None
    for place, media in enumerate(offered):
        found = _most_specific(media, ranges)
        if found is None or found.quality <= 0 or not (wildcards or found.media == media):
            continue
        rank = (found.quality, "*" not in found.media, -found.order, -place)
        if best is None or rank > best:
            best, chosen = rank, media
    return chosen


_remembered = lru_cache(maxsize=256)(_chosen)


def _ranges(accept: str) -> list[_Range]:
    ranges = []
    for order, part in enumerate(accept.split(",")[:50]):
        media, *parameters = (piece.strip() for piece in part.lower().split(";"))
        quality = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q":
                try:
                    quality = float(value)
                except ValueError:
                    quality = 0.0
        ranges.append(_Range(media, quality, order))
    return ranges


def _most_specific(media: str, ranges: Sequence[_Range]) -> _Range | None:
    for pattern in (media, media.partition("/")[0] + "/*", "*/*"):
        for found in ranges:
            if found.media == pattern:
                return found
    return None
