"""A filter means the same in Python and in PostgreSQL, on whatever events."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import msgspec
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schema.errors import EsbError
from schema.event import Event
from schema.filter.ast import FIELDS, And, Filter, Holds, Not, Or
from schema.filter.document import to_document
from schema.filter.evaluate import true_for_event
from schema.filter.normal import fingerprint, normalise
from schema.filter.python import compile_filter
from schema.filter.sql import SqlFilter, compile_sql
from schema.filter.storable import document_problem
from schema.filter.typed import parse_filter
from tests.property.schema.filtering import CONSTANT_NUMBERS, KEYS, NUMBERS, TEXTS, events, filters, payload_event
from tests.services.postgres import Databases

TABLE = """
create table events (
  position bigint, sequence_number bigint, event_id text collate "C", event_type text collate "C",
  aggregate_type text collate "C", aggregate_id text collate "C", correlation_id text collate "C",
  causation_id text collate "C", ts timestamptz, recorded_at timestamptz, body text collate "C")
"""

Ask = Callable[[list[Event], list[Filter]], tuple[list[SqlFilter], list[list[bool]]]]


@pytest.fixture(scope="module")
def ask(databases: Databases) -> Iterator[Ask]:
    """Puts events into a table and gives what SQL says of each of them for each filter."""
    with databases.fresh() as dsn, asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(dsn))
        runner.run(connection.execute(TABLE))
        yield lambda rows, wheres: runner.run(_ask(connection, rows, wheres))
        runner.run(connection.close())


async def _ask(connection: Any, rows: list[Event], wheres: list[Filter]) -> tuple[list[SqlFilter], list[list[bool]]]:
    parameters: list[Any] = []
    compiled = [compile_sql(where, parameters) for where in wheres]
    columns = (
        "sequence_number",
        "event_id",
        "event_type",
        "aggregate_type",
        "aggregate_id",
        "correlation_id",
        "causation_id",
    )
    await connection.execute("truncate events")
    await connection.copy_records_to_table(
        "events",
        records=[
            (at, *(getattr(row, name) for name in columns), row.timestamp, row.recorded_at, row.body.decode())
            for at, row in enumerate(rows)
        ],
        columns=["position", *columns, "ts", "recorded_at", "body"],
    )
    # WHERE and the select list: neither may fail, and a condition that is NULL counts as false in both.
    answers = ", ".join(f"({one.text}) is true" for one in compiled)
    found = await connection.fetch(f"select {answers} from events e order by position", *parameters)
    for index, where in enumerate(wheres[:2]):
        own: list[Any] = []
        text = compile_sql(where, own).text
        positions = await connection.fetch(f"select position from events e where {text} order by 1", *own)
        assert [row[0] for row in positions] == [at for at, row in enumerate(found) if row[index]]
    return compiled, [list(row) for row in found]


def parsed(documents: list[dict[str, Any]]) -> list[Filter]:
    """Those that mean something; a comparison of a time with a text, say, is refused."""
    wheres = []
    for document in documents:
        try:
            wheres.append(parse_filter(document))
        except EsbError as error:
            assert error.code == "BAD_INPUT"  # noqa: PT017
    return wheres


def assert_agreement(ask: Ask, rows: list[Event], wheres: list[Filter]) -> None:
    compiled, answers = ask(rows, wheres)
    for index, (where, sql) in enumerate(zip(wheres, compiled, strict=True)):
        matches = compile_filter(where)
        for row, answer in zip(rows, answers, strict=True):
            expected = matches(row)
            # A rough condition may let more through, never less.
            assert answer[index] == expected or (answer[index] and not sql.exact), (to_document(where), sql, row.body)


CONTAINERS = [
    *("[]", "{}", "[1]", "[1.0]", "[0.1]", "[0.10000000000000000555]", "[true]", "[[1]]", '{"a":1}', '{"a":"x"}'),
    *("[9007199254740993]", "[9007199254740992]", '["a", null]', '["a"]', '{"a":1,"b":1}'),
]
OPS = ["eq", "ne", "gt", "gte", "lt", "lte", "startsWith", "contains"]


spelled_numbers = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "-"]),
    st.sampled_from(["0", "1", "9" * 308, "123"]),
    st.sampled_from(["", ".0", ".5", "." + "0" * 16000 + "1", "." + "1" * 16383, "." + "1" * 16384]),
    st.one_of(st.just(""), st.builds("{}{}".format, st.sampled_from(["e", "E-", "e-"]), st.integers(0, 20000))),
)
odd_texts = st.sampled_from([r"\u0000", r"\\u0000", r"\ud83d\ude00", r"\ud800", "e-1234", "\x7f", "\u2028"])
odd_documents = st.one_of(
    spelled_numbers,
    odd_texts.map(lambda text: f'{{"{text}": ["{text}"]}}'),
    st.sampled_from([127, 128, 129, 900]).map(lambda depth: "[" * depth + "]" * depth),
)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(raws=st.lists(odd_documents, min_size=1, max_size=10))
def test_what_can_be_stored_can_be_read_by_postgresql(ask: Ask, raws: list[str]) -> None:
    rows = []
    for raw in raws:
        try:
            if document_problem(raw.encode(), orjson.loads(raw)) is None:
                rows.append(payload_event('{"a":' + raw + "}"))
        except orjson.JSONDecodeError:
            continue
    assert_agreement(ask, rows, parsed([{"payload": [{"path": "a", "gt": 0}]}, {"payload": [{"path": "a", "eq": 0}]}]))


def each_way(constant: Any) -> Iterator[dict[str, Any]]:
    for op in OPS:
        yield {"payload": [{"path": "a", op: constant}]}
    yield {"payload": [{"path": "a", "in": [constant, "another"]}]}


@pytest.mark.parametrize(
    ("raw", "constants"),
    [
        (NUMBERS, CONSTANT_NUMBERS),
        ([msgspec.json.encode(text).decode() for text in TEXTS], TEXTS),
        ([*CONTAINERS, "1", '"a"', "null", "true"], [*map(msgspec.json.decode, CONTAINERS), None, True, 1, "a"]),
    ],
    ids=["numbers", "texts", "containers"],
)
def test_every_value_meets_every_constant(ask: Ask, raw: list[str], constants: list[Any]) -> None:
    """What random events hardly hit: the edges of doubles and of code points, each way round."""
    rows = [payload_event('{"a":' + text + "}") for text in raw] + [payload_event("{}"), payload_event("[1]")]
    for constant in constants:
        tests = [test for test in each_way(constant) if parsed([test])]
        assert_agreement(ask, rows, parsed(tests + [{"not": test} for test in tests]))


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_meets_every_kind_of_constant(ask: Ask, field: str) -> None:
    """Lowered to tests or evaluated as it stands, in Python and in SQL: one answer, missing fields included."""
    full = payload_event('{"a": null}', "order.created")
    full.sequence_number, full.aggregate_id = 1, "o1"
    rows = [full, payload_event("null"), payload_event("[1, null]"), payload_event('"order.created"')]
    constants = ["null", "true", "1", "1.5", "-1", '"order.created"', '""', "[]", "[1]", '{"a": null}']
    constants += ['timestamp("2026-01-01T00:00:00Z")', "9007199254740993"]
    texts = [f"event.{field} {op} {constant}" for op in ("==", "!=", "<", ">=") for constant in constants]
    texts += [f"event.{field} in [{constant}]" for constant in constants]
    texts += [f"event.{field} in [{constant}, 7]" for constant in constants]
    texts += [f"{constant} in event.{field}" for constant in constants] + [f"event.{field}", f"has(event.{field})"]
    texts += [f"event.{field}.{method}('')" for method in ("startsWith", "endsWith", "contains")]
    wheres = parsed([{"expression": shape.format(text)} for text in texts for shape in ("{}", "!({})")])
    assert_agreement(ask, rows, wheres)
    for where in wheres:
        assert isinstance(where, Holds)
        direct = true_for_event(where.tree)
        for row in rows:
            assert compile_filter(where)(row) == direct(row), (where.text, row.body)


def test_every_path_meets_every_shape(ask: Ask) -> None:
    """PostgreSQL counts a list's elements by more texts than we do."""
    inner = [
        "[5, [6, 7], {}]",
        "{" + ",".join(f"{msgspec.json.encode(key).decode()}:[1, 2]" for key in KEYS) + "}",
        "5",
    ]
    rows = [payload_event(text) for text in (*inner, *('{"a":' + text + "}" for text in inner), "null", '"a"')]
    for key in KEYS:
        keys = f"[{msgspec.json.encode(key).decode()}]"
        texts = [f"event.payload{base}{keys}{end}" for base in ("", ".a", "[1]") for end in ("", "[0]", '["-1"]')]
        documents = [{"expression": f"has({text})"} for text in texts] + [
            {"expression": f"{text} == 6"} for text in texts
        ]
        assert_agreement(ask, rows, parsed(documents))


def test_every_pattern_meets_every_name(ask: Ask) -> None:
    segments = ["a", "*", "**", "a-b"]
    tries = [".".join(parts) for length in (1, 2, 3) for parts in itertools.product(segments, repeat=length)]
    parts = ["a", "b", "a-b", "", "a\n", "*"]
    rows = [
        payload_event("1", ".".join(name)) for length in (1, 2, 3) for name in itertools.product(parts, repeat=length)
    ]
    for start in range(0, len(tries), 30):
        some = tries[start : start + 30]
        where = [{"eventType": {"pattern": pattern}} for pattern in some]
        assert_agreement(ask, rows, parsed(where + [{"userId": {"pattern": pattern}} for pattern in some]))


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=st.lists(events(), min_size=5, max_size=25), documents=st.lists(filters, min_size=4, max_size=16))
def test_python_and_sql_agree(ask: Ask, rows: list[Event], documents: list[dict[str, Any]]) -> None:
    wheres = parsed(documents)
    if not wheres:
        return
    assert_agreement(ask, rows, wheres)


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(events(), min_size=1, max_size=10), document=filters)
def test_normal_form_and_round_trip_keep_the_meaning(rows: list[Event], document: dict[str, Any]) -> None:
    for where in parsed([document]):
        again = parse_filter(to_document(where))
        assert fingerprint(again) == fingerprint(where) == fingerprint(normalise(where))
        for row in rows:
            assert compile_filter(again)(row) == naive(where, row)


def naive(where: Filter, row: Event) -> bool:
    """The filter without any rewriting around its leaves."""
    match where:
        case And(items):
            return all(naive(item, row) for item in items)
        case Or(items):
            return any(naive(item, row) for item in items)
        case Not(item):
            return not naive(item, row)
        case Holds(tree):
            return true_for_event(tree)(row)
    return compile_filter(where)(row)
