"""The predicate index: what it asks, whom it tells, what it keeps."""

import msgspec
import pytest

from processors.live.index import PredicateIndex
from schema.event import Event
from schema.filter.typed import parse_filter
from tests.property.schema.filtering import payload_event

MANY = 10_000


class Failures:
    """What was said to have failed."""

    def __init__(self) -> None:
        self.of: list[tuple[str, Exception]] = []

    def __call__(self, target: str, failure: Exception) -> None:
        self.of.append((target, failure))


def no_failure(target: object, failure: Exception) -> None:
    raise AssertionError(target) from failure


def event(payload: object = None, event_type: str = "order.created", stream: str = "orders") -> Event:
    made = payload_event(msgspec.json.encode({} if payload is None else payload).decode(), event_type)
    made.stream = stream
    return made


def index_of(*documents: dict[str, object] | None) -> PredicateIndex[int]:
    """Their targets are their places."""
    index: PredicateIndex[int] = PredicateIndex(no_failure)
    for target, document in enumerate(documents):
        index.add(None if document is None else parse_filter(document), None, target)
    return index


BOTH = 'event.payload.customer == "c{0}" && event.payload.a + event.payload.b > {0}'
DISTINCT = {
    "equality": ("{{'payload': [{{'path': 'customer', 'eq': 'c{0}'}}]}}", 0),
    "a list": ("{{'payload': [{{'path': 'customer', 'in': ['c{0}', 'd{0}']}}]}}", 0),
    "type": ("{{'eventType': {{'eq': 'shop-{0}.created'}}}}", 0),
    "pattern": ("{{'eventType': {{'pattern': 'shop-{0}.*'}}}}", 0),
    "inner pattern": ("{{'eventType': {{'pattern': '**.shop-{0}.*'}}}}", 0),
    "prefix": ("{{'payload': [{{'path': 'customer', 'startsWith': 'c{0}'}}]}}", 0),
    "interval": ("{{'payload': [{{'path': 'amount', 'gte': {0}, 'lt': {0}.5}}]}}", 0),
    "threshold": ("{{'payload': [{{'path': 'level', 'gt': {0}}}]}}", 0),
    "text interval": ("{{'payload': [{{'path': 'customer', 'gte': 'c{0}', 'lt': 'c{0}!'}}]}}", 1),
    "path": ("{{'payload': [{{'path': 'p{0}', 'exists': True}}]}}", 0),
    "element": ("{{'payload': [{{'path': 'tags', 'contains': 't{0}'}}]}}", 0),
    "alternatives": ("{{'or': [{{'userId': {{'eq': 'u{0}'}}}}, {{'payload': [{{'path': 'n', 'eq': {0}}}]}}]}}", 0),
    "shared type": ("{{'eventType': {{'eq': 'a'}}, 'payload': [{{'path': 'amount', 'gt': {0}, 'lt': {0}.5}}]}}", 1),
    "expression": ("{{'expression': 'event.payload.amount > {0} && event.payload.amount < {0}.5'}}", 0),
    "computed": ("{{'expression': '" + BOTH + "'}}", 1),
}


@pytest.mark.parametrize(("text", "most"), DISTINCT.values(), ids=DISTINCT)
def test_of_many_distinct_filters_hardly_any_is_asked(text: str, most: int) -> None:
    index: PredicateIndex[int] = PredicateIndex(no_failure)
    for number in range(1, MANY + 1):
        index.add(parse_filter(eval(text.format(number))), None, number)
    payload = {"customer": "c77", "amount": 77.25, "p77": 1, "tags": ["t77"], "n": 77, "a": 77, "b": 77, "level": 1.5}
    found = [index.match(event(payload, event_type)) for event_type in ("a", "shop-77.created")]
    assert {1, 77} & {target for targets in found for target in targets}
    assert index.verified <= 2 * most
    for number in range(1, MANY + 1):
        index.remove(number)
    assert len(index) == 0


def test_what_a_few_share_is_asked_only_of_them() -> None:
    index = index_of(*({"expression": f"event.payload.a + event.payload.b > {number}"} for number in range(100)))
    assert sorted(index.match(event({"a": 1, "b": 2}))) == [0, 1, 2]
    assert index.verified == 100, "nothing to look up: the filters' own predicates decide"


def test_true_is_not_one_and_one_is_one_point_zero() -> None:
    index = index_of(*({"payload": [{"path": "v", "eq": value}]} for value in (True, 1, 1.5, False, 0, None, "1")))
    found = {text: index.match(payload_event(f'{{"v": {text}}}')) for text in ("true", "1", "1.0", "1.5", "null", "0")}
    assert found == {"true": [0], "1": [1], "1.0": [1], "1.5": [2], "null": [5], "0": [4]}
    assert index.match(payload_event('{"v": -0.0}')) == [4]
    assert index.match(payload_event("{}")) == []


def test_a_list_where_scalars_are_wanted_asks_nobody() -> None:
    index = index_of(*({"payload": [{"path": "v", "eq": value}]} for value in range(20)))
    assert [index.match(event({"v": value})) for value in ([1], {"a": 1}, 1)] == [[], [], [1]]
    assert index.verified == 0


def test_lists_and_objects_are_compared_by_the_filter() -> None:
    index = index_of(
        {"payload": [{"path": "v", "eq": [1, {"a": True}]}]}, {"payload": [{"path": "v", "in": [[1], "x"]}]}
    )
    assert index.match(event({"v": [1.0, {"a": True}]})) == [0]
    assert index.match(event({"v": [1, {"a": 1}]})) == []
    assert index.match(event({"v": "x"})) == [1]


def test_streams_restrict() -> None:
    index: PredicateIndex[str] = PredicateIndex(no_failure)
    everything = parse_filter({})
    index.add(None, None, "all")
    index.add(everything, frozenset({"orders", "users"}), "two")
    index.add(parse_filter({"eventType": {"eq": "order.created"}}), frozenset({"users"}), "typed")
    index.add(None, frozenset(), "none")
    assert sorted(index.match(event(stream="orders"))) == ["all", "two"]
    assert sorted(index.match(event(stream="users"))) == ["all", "two", "typed"]
    assert index.match(event(stream="audit")) == ["all"]


def test_a_target_wants_what_was_said_last() -> None:
    index: PredicateIndex[str] = PredicateIndex(no_failure)
    index.add(parse_filter({"eventType": {"eq": "order.created"}}), None, "a")
    index.add(parse_filter({"eventType": {"eq": "order.paid"}}), None, "a")
    assert len(index) == 1
    assert index.match(event(event_type="order.created")) == []
    assert index.match(event(event_type="order.paid")) == ["a"]
    index.remove("a")
    index.remove("a")
    assert index.match(event(event_type="order.paid")) == []


def test_targets_of_one_meaning_are_asked_about_once() -> None:
    index = index_of(*[{"expression": "event.payload.a + 1 == 2"}, {"expression": " (event.payload.a + 1) == 2"}] * 20)
    assert index.match(event({"a": 1})) == list(range(40))
    assert index.verified == 1
    for target in range(0, 40, 2):
        index.remove(target)
    assert index.match(event({"a": 1})) == list(range(1, 40, 2))


def test_several_alternatives_that_hold_count_once() -> None:
    computed = {"expression": "event.payload.a + 1 == 2"}
    either = {"or": [{"eventType": {"pattern": "order.*"}}, {"eventType": {"startsWith": "order"}}, computed]}
    others = [{"userId": {"eq": f"u{number}"}} for number in range(10)]  # a few would not be told apart
    index = index_of(either, *others)
    assert index.match(event({"a": 1})) == [0]
    assert index.verified == 0, "one of them is sure already"


def test_a_filter_with_very_many_alternatives_is_asked_itself() -> None:
    parts = [{"or": [{"payload": [{"path": f"p{n}", "eq": v}]} for v in (1, "x")] + [{"not": {}}]} for n in range(40)]
    spread = [{"or": [{"payload": [{"path": f"p{n}", "eq": 1}]}, {"userId": {"eq": f"u{n}"}}]} for n in range(40)]
    index = index_of({"and": parts}, {"or": spread})
    assert sorted(index.match(event({f"p{n}": 1 for n in range(40)}))) == [0, 1]
    assert index.match(event({f"p{n}": 1 for n in range(39)})) == [1]
    assert index.match(event({"p40": 1})) == []


def test_what_cannot_match_is_nowhere() -> None:
    index = index_of(
        {"payload": [{"path": "n", "gt": 3, "lt": 2}]}, {"or": []}, {"expression": "event.event_type == null"}
    )
    assert index.match(event({"n": 3})) == []
    assert index.verified == 0


def test_a_payload_that_is_no_json_fails_only_those_who_look_into_it() -> None:
    failures = Failures()
    index: PredicateIndex[str] = PredicateIndex(failures)
    index.add(parse_filter({"payload": [{"path": "n", "eq": 1}]}), None, "payload")
    index.add(parse_filter({"eventType": {"eq": "order.created"}}), None, "type")
    index.add(None, None, "all")
    for number in range(10):  # a few would not be told apart
        index.add(
            parse_filter({"userId": {"eq": f"u{number}"}, "payload": [{"path": "n", "eq": 2}]}), None, f"{number}"
        )
        index.add(parse_filter({"payload": [{"path": "m", "eq": number}]}), None, f"m{number}")
    broken = event()
    broken.payload = msgspec.Raw(b"{")
    assert sorted(index.match(broken)) == ["all", "type"]
    assert [target for target, _ in failures.of] == ["payload", *(f"m{number}" for number in range(10))]
    assert isinstance(failures.of[0][1], msgspec.DecodeError)
    assert sorted(index.match(event({"n": 1}))) == ["all", "payload", "type"]


def test_who_is_told_of_a_failure_may_leave() -> None:
    def leave(target: str, _: Exception) -> None:
        index.remove("first")
        index.remove("second")
        left.append(target)

    left: list[str] = []
    index: PredicateIndex[str] = PredicateIndex(leave)
    for target in ("first", "second"):
        index.add(parse_filter({"payload": [{"path": "n", "eq": 1}]}), None, target)
    broken = event()
    broken.payload = msgspec.Raw(b"{")
    assert index.match(broken) == []
    assert left == ["first", "second"]
    assert len(index) == 0


def test_whole_numbers_that_share_a_double_are_told_apart() -> None:
    index = index_of(*({"payload": [{"path": "n", "gt": 2**53 + more, "lt": 2**53 + more + 2}]} for more in range(9)))
    for more in range(9):
        assert index.match(event({"n": 2**53 + more + 1})) == [more]
