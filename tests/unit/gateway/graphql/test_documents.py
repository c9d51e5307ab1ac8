"""Documents: cached when valid, bounded, and refused for what they cost before anything runs."""

import pytest

from gateway.graphql.documents import DocumentErrors, Documents
from gateway.graphql.errors import formatted
from gateway.graphql.limits import OperationLimits
from resolvers.schema import graphql_schema
from schema.errors import EsbError


def documents(max_bytes: int = 10**6, **limits: int) -> Documents:
    return Documents(graphql_schema(), OperationLimits(**limits), max_bytes)  # type: ignore[arg-type]


def refused(query: str, **limits: int) -> str:
    with pytest.raises(DocumentErrors) as caught:
        documents(**limits).get(query)
    return str(formatted(caught.value.errors[0])["extensions"]["code"])


def cost(query: str, **variables: object) -> int:
    return documents().get(query).operations[0].measure.cost(variables)


def depth(query: str) -> int:
    return documents(depth=100).get(query).operations[0].measure.depth


def test_a_text_is_read_once() -> None:
    kept = documents()
    assert kept.get("{ routes { id } }") is kept.get("{ routes { id } }")


def test_what_is_invalid_is_not_kept() -> None:
    kept = documents()
    with pytest.raises(DocumentErrors):
        kept.get("{ nothing }")
    assert len(kept) == 0


def test_the_least_recently_used_goes_first() -> None:
    kept = documents(max_bytes=3 * 7000)
    texts = [f"{{ routes {{ id name }} }} # {number:0>20}" for number in range(4)]
    first = kept.get(texts[0])
    for text in texts[1:3]:
        kept.get(text)
    assert kept.get(texts[0]) is first
    kept.get(texts[3])
    assert kept.get(texts[0]) is first
    assert len(kept) == 3


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{ routes { id } }", 1),
        ('{ event(eventId: "e") { eventId payload } }', 1),
        ("{ events { asOf } }", 1),
        ("{ events(first: 10) { nodes { eventId } } }", 11),
        ("{ events(first: 10) { edges { node { eventId } } } }", 21),
        ("{ events(first: 10) { nodes { cause { eventId } effects(first: 5) { nodes { eventId } } } } }", 81),
        ("query($n: Int) { events(first: $n) { nodes { eventId } } }", 51),
        ("query($n: Int = 7) { events(first: $n) { nodes { eventId } } }", 8),
        ("{ __schema { types { name fields { name } } } }", 0),
        (
            "{ events(first: 10) { ...p } } fragment p on EventConnection { nodes { eventId } edges { node { id } } }",
            31,
        ),
        ("{ a: routes { id } b: routes { id } }", 2),
        ("{ events(first: 10) { nodes { id } pageInfo { hasNextPage } } }", 12),
        ("{ events(first: null) { nodes { id } } }", 51),
        ("query($n: Int = null) { events(first: $n) { nodes { id } } }", 51),
        ("{ streams(first: 10) { nodes { events(first: 3) { nodes { id } } } } }", 51),
        ("{ events(first: 10) { ... { ... on EventConnection { nodes { ...e } } } } } fragment e on Event { id }", 11),
        (
            "query($n: Int = 4) { events(first: 10) { nodes { ...e } } }"
            " fragment e on Event { effects(first: $n) { nodes { id } } }",
            61,
        ),
        (
            "query($n: Int = 20) { events(first: $n)"
            " { nodes { eventId effects(first: 5) { nodes { eventId } } } pageInfo { hasNextPage } } }",
            142,
        ),
        ("subscription { events { id cause { id } } }", 2),
        ("subscription { feed { cursor ... on Event { cause { id } } } }", 2),
        ("subscription { eventBatches { cursor events { id } } }", 101),
        ("subscription { eventBatches(maxEvents: 10) { events { cause { id } } } }", 21),
        ("mutation($e: [EventInput!]!) { publishEvents(events: $e) { receipts { eventId } } }", 2),
    ],
)
def test_cost_counts_the_objects_that_may_come_back(query: str, expected: int) -> None:
    assert cost(query) == expected


def test_cost_goes_by_the_variables() -> None:
    query = "query($n: Int) { events(first: $n) { nodes { eventId } } }"
    assert cost(query, n=3) == 4
    assert cost(query, n="wrong type") == 51
    assert cost(query, n=1000.0) == 1001
    assert cost(query, n=True) == 51
    assert cost(query.replace("Int", "Int = 7"), n=None) == 51


def test_each_operation_of_a_document_counts_its_own_defaults() -> None:
    one = "query A($n: Int = 2) { ...f }"
    other = "query B($n: Int = 9) { ...f }"
    fragment = "fragment f on Query { events(first: $n) { nodes { id } } }"
    found = documents().get(f"{one} {other} {fragment}")
    assert [operation.measure.cost({}) for operation in found.operations] == [3, 10]
    assert [operation.measure.cost({"n": 5}) for operation in found.operations] == [6, 6]


def test_fragments_that_spread_each_other_twice_are_measured_at_once() -> None:
    nodes = "{ nodes { effects { ...f1 ...f1 } } }"
    middle = " ".join(
        f"fragment f{n} on EventConnection {{ nodes {{ cause {{ eventId }} }} ...f{n + 1} ...f{n + 1} }}"
        for n in range(1, 60)
    )
    last = "fragment f60 on EventConnection { asOf }"
    assert cost(f"{{ events {nodes} }} {middle} {last}") >= 10**9


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{ routes { id } }", 2),
        ("{ __typename }", 0),
        ("{ events { nodes { cause { cause { eventId } } } } }", 5),
        ("{ events { ...c } } fragment c on EventConnection { nodes { eventId } }", 3),
    ],
)
def test_depth_counts_fields(query: str, expected: int) -> None:
    assert depth(query) == expected


def test_what_asks_for_too_much_is_refused() -> None:
    deep = "{ events { nodes " + "{ cause " * 15 + "{ eventId }" + " }" * 17
    assert refused(deep) == "TOO_COMPLEX"
    assert refused("{ " + " ".join(f"a{n}: routes {{ id }}" for n in range(101)) + " }") == "TOO_COMPLEX"
    assert refused("{ routes { id } }" + " " * 200_000) == "TOO_COMPLEX"
    assert refused("{ " + "routes { id } " * 9000 + "}") == "TOO_COMPLEX"


@pytest.mark.parametrize(
    "query", ["", "{", "{nothing{here", "{ nothing }", "{ routes }", "fragment f on Event { eventId }", "\ud800"]
)
def test_what_is_wrong_is_bad_input(query: str) -> None:
    assert refused(query) == "BAD_INPUT"


def test_the_introspection_of_tools_is_allowed() -> None:
    from graphql import get_introspection_query

    query = get_introspection_query(specified_by_url=True, input_value_deprecation=True, one_of=True)
    assert documents().get(query).operations[0].measure.depth == 0


def test_one_of_several_operations_is_named() -> None:
    document = documents().get("query a { routes { id } } query b { routes { name } }")
    assert document.operation("b").name == "b"
    for name in (None, "c"):
        with pytest.raises(EsbError, match="operation"):
            document.operation(name)


@pytest.mark.parametrize("value", ["5", "{cursor: 5}", "{live: true, beginning: true}", "{}", "{live: null}"])
def test_from_names_one_start(value: str) -> None:
    assert refused(f"subscription {{ events(from: {value}) {{ eventId }} }}") == "BAD_INPUT"


@pytest.mark.parametrize("text", ["{}", "query {}", "mutation {}", "{ events {} }", "subscription { events {} }"])
def test_empty_selections_which_the_parser_takes_are_documents(text: str) -> None:
    assert len(Documents(graphql_schema(), OperationLimits()).get(text).operations) == 1
