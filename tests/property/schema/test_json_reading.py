"""Compatibility of JSON Schemas against what it promises: a payload the writer takes, the reader takes.

The oracle is the validator itself.
"""

from typing import Any

import jsonschema_rs
from hypothesis import given
from hypothesis import strategies as st

from schema.payloads.json_reading import problems

_names = st.sampled_from(["a", "b", "c"])
_scalars = st.one_of(
    st.builds(lambda kind: {"type": kind}, st.sampled_from(["string", "integer", "number", "boolean", "null"])),
    st.builds(
        lambda kinds: {"type": sorted(kinds)}, st.sets(st.sampled_from(["string", "integer", "null"]), min_size=1)
    ),
    st.builds(lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more}, *[st.integers(0, 3)] * 2),
    st.builds(lambda most: {"type": "string", "maxLength": most}, st.integers(0, 3)),
    st.builds(lambda values: {"enum": sorted(values)}, st.sets(st.integers(0, 4), min_size=1)),
    st.booleans(),
)


def _closed(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects and lists without undeclared properties: nothing the lenient policy would have to believe."""
    return st.one_of(
        st.builds(
            lambda properties, required: {
                "type": "object",
                "properties": properties,
                "required": sorted(required & properties.keys()),
                "additionalProperties": False,
            },
            st.dictionaries(_names, inner, max_size=3),
            st.sets(_names),
        ),
        st.builds(lambda items: {"type": "array", "items": items}, inner),
        st.builds(lambda branches: {"anyOf": branches}, st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda branches: {"allOf": branches}, st.lists(inner, min_size=1, max_size=2)),
    )


schemas = st.recursive(_scalars, _closed, max_leaves=6)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-1, 5), st.sampled_from([1.5, "", "a", "abcd"])),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(_names, inner, max_size=3)),
    max_leaves=5,
)


@given(schemas, schemas, st.lists(values, max_size=20))
def test_what_fits_reads_every_payload(reader: Any, writer: Any, payloads: list[Any]) -> None:
    if problems(reader, writer):
        return
    reads, writes = jsonschema_rs.validator_for(reader), jsonschema_rs.validator_for(writer)
    assert [payload for payload in payloads if writes.is_valid(payload) and not reads.is_valid(payload)] == []


@given(schemas)
def test_a_definition_reads_its_own(schema: Any) -> None:
    assert problems(schema, schema) == []


@given(schemas)
def test_everything_reads_and_nothing_writes(schema: Any) -> None:
    assert problems(True, schema) == problems({}, schema) == problems(schema, False) == []
