"""Times as filters write them: RFC 3339 with an offset, kept in UTC."""

from datetime import UTC, datetime

import msgspec


def parse_time(text: str) -> datetime | None:
    """The moment in UTC, to the microsecond; None for a text that is no RFC 3339 time."""
    try:
        moment = msgspec.convert(text, datetime)
        return None if moment.tzinfo is None else moment.astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        return None


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
