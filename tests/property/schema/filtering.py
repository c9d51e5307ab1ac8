"""Random events and filters over one small vocabulary, so that they meet often and in odd ways."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import strategies as st

from schema.event import Envelope, Event, decode_body, encode_body

SEGMENTS = ["order", "user", "created", "a", "orders", "order-x"]
# " 1", "-1", "+1", "01": indexes to PostgreSQL's #>, keys to us.
KEYS = ["a", "b", "items", "0", "1", "-1", "+1", "01", " 1", "a.b", "in", "é"]
TEXTS = [
    "",
    "a",
    "ab",
    "abc",
    "b",
    "é",
    "z",
    "\U0001f600",
    "\uffff",
    "1",
    "null",
    "a'b\"\\",
    "%",
    "x.y",
    "\n",
    "$1",
    "\U0010ffff",
]
NUMBERS = [
    *("0", "-0", "-0.0", "0.0", "1", "1.0", "1e0", "10e-1", "-1", "2", "3", "7", "1.5", "0.3", "1e2", "100"),
    *("0.1", "0.10000000000000000555", "0.1000000000000000055511151231257827", "9007199254740991", "9007199254740992"),
    *("9007199254740993", "9007199254740993.0", "9007199254740993e0", "-9007199254740993", "1152921504606846976"),
    *("1152921504606846977", "1.152921504606847e18", "9223372036854775807", "18446744073709551616", "1e22", "1e300"),
    *("-1e300", "1.7976931348623157e308", "1e308", "2.2250738585072014e-308", "5e-324", "2.5e-324", "2e-324"),
    *("-2e-324", "1e-400", "1e-16000"),
]
CONSTANT_NUMBERS = [
    0,
    1,
    1.0,
    -1,
    2,
    3,
    1.5,
    0.1,
    0.3,
    100,
    -0.0,
    2**53 - 1,
    2**53,
    2**53 + 1,
    -(2**53) - 1,
    2**60,
    2**60 + 1,
]
CONSTANT_NUMBERS += [2.0**60, 2**63 - 1, 1e22, 1e300, 5e-324, 1.7976931348623157e308, 1e308]
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _array(items: list[str]) -> str:
    return "[" + ", ".join(items) + "]"


def _object(entries: dict[str, str]) -> str:
    return "{" + ",".join(f"{_quoted(key)}:{value}" for key, value in entries.items()) + "}"


scalar_texts = st.one_of(
    st.sampled_from(NUMBERS), st.sampled_from(TEXTS).map(_quoted), st.sampled_from(["true", "false", "null"])
)
json_texts = st.recursive(
    scalar_texts,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(_array), st.dictionaries(st.sampled_from(KEYS), inner, max_size=4).map(_object)
    ),
    max_leaves=6,
)
payload_texts = st.one_of(st.dictionaries(st.sampled_from(KEYS), json_texts, max_size=5).map(_object), json_texts)

names = st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=3).map(".".join)
optional_text = st.one_of(st.none(), st.sampled_from(TEXTS), names)
moments = st.integers(-3, 3).map(lambda microseconds: EPOCH + timedelta(microseconds=microseconds))


def payload_event(payload: str, event_type: str = "order.created") -> Event:
    """An event of which little matters; `payload`: JSON as the publisher spelled it. The user is named as the type."""
    envelope = Envelope(
        event_id="evt_1",
        event_type=event_type,
        event_version="1.0",
        source_capability=None,
        aggregate_id=None,
        aggregate_type=None,
        timestamp=EPOCH,
        correlation_id=None,
        causation_id=None,
        tenant_id="acme",
        user_id=event_type,
        metadata=msgspec.Raw(b"{}"),
        payload=msgspec.Raw(payload.encode()),
        schema_version=None,
    )
    return decode_body(encode_body(envelope))


@st.composite
def events(draw: st.DrawFn) -> Event:
    envelope = Envelope(
        event_id=draw(st.sampled_from(TEXTS)),
        event_type=draw(names),
        event_version=draw(st.sampled_from(["1.0", "2.0"])),
        source_capability=draw(optional_text),
        aggregate_id=draw(optional_text),
        aggregate_type=draw(optional_text),
        timestamp=draw(moments),
        correlation_id=draw(optional_text),
        causation_id=draw(optional_text),
        tenant_id="acme",
        user_id=draw(optional_text),
        metadata=msgspec.Raw(draw(payload_texts).encode()),
        payload=msgspec.Raw(draw(payload_texts).encode()),
        schema_version=draw(st.sampled_from([None, "1"])),
    )
    event = decode_body(encode_body(envelope))
    event.sequence_number = draw(st.one_of(st.none(), st.integers(0, 3)))
    event.recorded_at = draw(moments)
    return event


# ---- filters

constants = st.recursive(
    st.one_of(st.sampled_from(CONSTANT_NUMBERS), st.sampled_from(TEXTS), st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=2)),
    max_leaves=4,
)
orderable = st.one_of(st.sampled_from(CONSTANT_NUMBERS), st.sampled_from(TEXTS))
patterns = st.lists(st.sampled_from([*SEGMENTS, "*", "**"]), min_size=1, max_size=4).map(".".join)
some_text = st.one_of(st.sampled_from(TEXTS), names)


def _match(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields).filter(bool)


string_matches = st.one_of(
    patterns.map(lambda pattern: {"pattern": pattern}),
    _match(
        eq=some_text,
        ne=some_text,
        startsWith=some_text,
        exists=st.booleans(),
        **{"in": st.lists(some_text, max_size=3)},
    ),
)
long_matches = _match(**{op: st.integers(-1, 4) for op in ("eq", "gt", "gte", "lt", "lte")})
time_matches = _match(**{op: moments.map(datetime.isoformat) for op in ("gt", "gte", "lt", "lte")})
paths = st.lists(st.sampled_from([key for key in KEYS if "." not in key]), min_size=1, max_size=3).map(".".join)
value_matches = st.builds(
    lambda path, match: {"path": path, **match},
    paths,
    _match(
        eq=constants,
        ne=constants,
        contains=constants,
        startsWith=st.sampled_from(TEXTS),
        exists=st.booleans(),
        **dict.fromkeys(("gt", "gte", "lt", "lte"), orderable),
        **{"in": st.lists(constants, max_size=3)},
    ),
)


def _literal(value: Any) -> str:
    return repr(value) if isinstance(value, float) else msgspec.json.encode(value).decode()


def _path(keys: list[str]) -> str:
    return "event." + keys[0] + "".join(f"[{_quoted(key)}]" for key in keys[1:])


document_paths = st.builds(
    lambda field, keys: _path([field, *keys]),
    st.sampled_from(["payload", "metadata"]),
    st.lists(st.sampled_from(KEYS), min_size=1, max_size=3),
)
event_paths = st.one_of(
    document_paths,
    document_paths,
    st.sampled_from(
        [
            "event.event_type",
            "event.user_id",
            "event.aggregate_id",
            "event.sequence_number",
            "event.schema_version",
            "event.payload",
        ]
    ),
)
literals = constants.map(_literal)
times = st.builds(
    "event.{} {} timestamp({!r})".format,
    st.sampled_from(["timestamp", "recorded_at"]),
    st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
    moments.map(datetime.isoformat),
)
operands = st.one_of(
    event_paths,
    event_paths,
    literals,
    st.builds("size({})".format, event_paths),
    st.builds("({} {} {})".format, event_paths, st.sampled_from("+-*/%"), literals),
    st.builds("string({})".format, event_paths),
)
comparisons = st.builds(
    "{} {} {}".format, operands, st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in"]), operands
)
conditions = st.one_of(
    comparisons,
    comparisons,
    st.builds("{} {} {}".format, event_paths, st.sampled_from(["==", "!=", "<", ">="]), literals),
    st.builds("{} in {}".format, event_paths, st.lists(constants, max_size=3).map(_literal)),
    st.builds("{} in {}".format, literals, document_paths),
    st.builds("has({})".format, event_paths),
    st.builds(
        "{}.{}({})".format,
        event_paths,
        st.sampled_from(["startsWith", "endsWith", "contains"]),
        st.sampled_from(TEXTS).map(_quoted),
    ),
    times,
    event_paths,
)
expressions = st.recursive(
    conditions,
    lambda inner: st.one_of(
        st.builds("!({})".format, inner),
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
    ),
    max_leaves=4,
)

_TEXT_FIELDS = ["eventId", "eventType", "event_version", "sourceCapability", "aggregate_id", "userId", "correlationId"]
leaves = st.one_of(
    st.builds(lambda field, match: {field: match}, st.sampled_from(_TEXT_FIELDS), string_matches),
    long_matches.map(lambda match: {"sequenceNumber": match}),
    st.builds(lambda field, match: {field: match}, st.sampled_from(["timestamp", "recordedAt"]), time_matches),
    st.builds(
        lambda field, matches: {field: matches},
        st.sampled_from(["payload", "metadata"]),
        st.lists(value_matches, min_size=1, max_size=2),
    ),
    expressions.map(lambda text: {"expression": text}),
)
filters = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: {"and": items}),
        st.lists(inner, max_size=3).map(lambda items: {"or": items}),
        inner.map(lambda item: {"not": item}),
    ),
    max_leaves=5,
)
