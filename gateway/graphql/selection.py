"""Plain selections compiled: from what a subscription asks of each item straight to the bytes of its message.

Plain means fields, aliases and fragments, without directives and arguments; everything else is graphql-core's.
A property test holds both to the same bytes (tests/property/test_selection.py).
"""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

import msgspec
from graphql import FieldNode, FragmentDefinitionNode, FragmentSpreadNode, OperationDefinitionNode, SelectionSetNode
from strawberry.utils.str_converters import to_camel_case

from resolvers.event import Event
from resolvers.event_batch import EventBatch
from schema.graphql.event import EVENT_FIELDS, event_field
from schema.graphql.live import CaughtUp, Gap, Progress

Read = Callable[[Any], Any]
ItemEncoder = Callable[[Any], bytes]

_encoder = msgspec.json.Encoder()

_LEAVES: dict[str, dict[str, Read]] = {
    "Event": {to_camel_case(name): event_field(name) for name in EVENT_FIELDS},
    "Gap": {"cursor": attrgetter("cursor"), "dropped": attrgetter("dropped")},
    "CaughtUp": {"cursor": attrgetter("cursor")},
    "Progress": {"cursor": attrgetter("cursor"), "at": attrgetter("at")},
    "EventBatch": {name: attrgetter(to) for name, to in (("cursor", "cursor"), ("dropped", "dropped"))}
    | {"caughtUp": attrgetter("caught_up")},
}
_CLASSES: dict[str, type] = {"Event": Event, "Gap": Gap, "CaughtUp": CaughtUp, "Progress": Progress}
_INTERFACES = {"FeedItem": _CLASSES.keys(), "Node": {"Event"}}
_ROOTS = {"events": ("Event",), "feed": tuple(_CLASSES), "eventBatches": ("EventBatch",)}
_PYTHON = {**_CLASSES, "EventBatch": EventBatch}


class _NotPlain(Exception):
    """Left to graphql-core."""


def compile_subscription(
    node: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> ItemEncoder | None:
    """How each item of a validated subscription becomes its message, or None where graphql-core must do it."""
    selections = node.selection_set.selections
    root = selections[0]
    if len(selections) != 1 or node.directives or not isinstance(root, FieldNode) or root.directives:
        return None
    kinds = _ROOTS.get(root.name.value)
    if kinds is None or root.selection_set is None:
        return None
    try:
        builds = {_PYTHON[kind]: _object(kind, root.selection_set, fragments) for kind in kinds}
    except _NotPlain:
        return None
    key = (root.alias or root.name).value

    def encode(item: Any) -> bytes:
        return _encoder.encode({"data": {key: builds[type(item)](item)}})

    return encode


def _object(kind: str, selection: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode]) -> Read:
    fields: dict[str, tuple[str, Read]] = {}
    _collect(kind, selection, fragments, fields)
    reads = [(key, read) for key, (_, read) in fields.items()]

    def build(item: Any) -> dict[str, Any]:
        return {key: read(item) for key, read in reads}

    return build


def _collect(
    kind: str,
    selection: SelectionSetNode,
    fragments: Mapping[str, FragmentDefinitionNode],
    fields: dict[str, tuple[str, Read]],
) -> None:
    """The fields of a selection that apply to objects of type `kind`, in the order the specification gives them."""
    for node in selection.selections:
        if node.directives:
            raise _NotPlain
        if not isinstance(node, FieldNode):
            fragment: Any = fragments[node.name.value] if isinstance(node, FragmentSpreadNode) else node
            if fragment.directives:
                raise _NotPlain
            on = fragment.type_condition
            if on is None or on.name.value == kind or kind in _INTERFACES.get(on.name.value, ()):
                _collect(kind, fragment.selection_set, fragments, fields)
            continue
        key, name = (node.alias or node.name).value, node.name.value
        if key in fields:
            if node.selection_set is not None:
                raise _NotPlain  # two selections of one object would have to be merged
            continue
        fields[key] = (name, _field(kind, name, node, fragments))


def _field(kind: str, name: str, node: FieldNode, fragments: Mapping[str, FragmentDefinitionNode]) -> Read:
    if name == "__typename":
        return lambda _item: kind
    if kind == "EventBatch" and name == "events" and node.selection_set is not None:
        build = _object("Event", node.selection_set, fragments)
        return lambda batch: [build(event) for event in batch.events]
    read = _LEAVES[kind].get(name)
    if read is None or node.arguments:
        raise _NotPlain
    return read
