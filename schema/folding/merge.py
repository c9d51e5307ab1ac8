"""JSON Merge Patch (RFC 7386, section 2): how states are made of payloads where no reducers are declared."""

from typing import Any

from schema.filter.counted import Spend
from schema.folding.declared import Reducer, parse_reducers
from schema.folding.state import State

MERGE_PAYLOADS: tuple[Reducer, ...] = parse_reducers(
    [{"on": "**", "operations": [{"merge": {"path": "", "expression": "event.payload"}}]}], drop=False
)
"""The reducers of an aggregate type that declares none."""


def merge_patch(target: Any, patch: Any) -> Any:
    """`target` changed as `patch` says; neither is changed, parts of both may be shared with the result."""
    return merge_into(target, patch, State(target), lambda units: None)


def merge_into(target: Any, patch: Any, state: State, spend: Spend) -> Any:
    """The same, changing in place what `state` owns."""
    if type(patch) is not dict:
        return patch
    spend(len(patch))
    result = state.own(target, spend) if type(target) is dict else state.made({})
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif type(value) is dict:
            result[key] = merge_into(result.get(key), value, state, spend)
        else:
            result[key] = value
    return result
