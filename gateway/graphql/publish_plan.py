"""The fast way in: an operation that is exactly one publishEvent or publishEvents, seen once and then run as bytes.

Variables are decoded by msgspec straight into what admission takes, and receipts encoded by what was selected. The plan
takes only what graphql-core would take in the same sense; whatever it cannot decode it leaves to graphql-core, which
says what is wrong with it. A property test holds both to the same answers (tests/property/test_publish_plan.py).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
from graphql import (
    BooleanValueNode,
    FieldNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableDefinitionNode,
    VariableNode,
)

from schema.graphql.event import SignCursor
from schema.graphql.scalars import MAX_LONG
from schema.input import EventInput, GraphQLEventInput
from store.log.port import Receipt

_NULL = msgspec.Raw(b"null")

# what each field is, as Python: a batch shows thousands of receipts, and a call a field would be most of it
_RECEIPT = {
    "__typename": "'Receipt'",
    "index": "index",
    "eventId": "receipt.event_id",
    "stream": "receipt.stream",
    "position": "receipt.position",
    "partition": "receipt.partition",
    "offset": "receipt.offset",
    "sequenceNumber": "receipt.sequence_number",
    "cursor": "sign(receipt.cursor)",
    "recordedAt": "receipt.recorded_at",
    "duplicate": "receipt.duplicate",
}
_REJECTION = {
    "__typename": "'Rejection'",
    "index": "rejection.index",
    "eventId": "rejection.event_id",
    "code": "rejection.code.value",
    "message": "rejection.message",
    "details": "rejection.details",
}


class Publish(NamedTuple):
    """What the variables of one request came to."""

    events: Sequence[EventInput]
    atomic: bool


class PublishPlan:
    """How one operation publishes. `key`: the response name of its only field; `field`: that field, for errors; `cost`:
    of the operation, which has nothing whose size variables say."""

    def __init__(
        self,
        field: FieldNode,
        cost: int,
        single: bool,
        read: Callable[[msgspec.Raw], Publish | None],
        show: Callable[[Sequence[tuple[int, Receipt]], Sequence[Any], SignCursor], Any],
    ) -> None:
        self.field = field
        self.cost = cost
        self.key = (field.alias or field.name).value
        self.single = single
        self.read = read
        self.show = show


def plan_publish(node: OperationDefinitionNode, cost: int) -> PublishPlan | None:
    """The plan of a validated mutation, or None where it is not one of the plain forms."""
    if len(node.selection_set.selections) != 1 or node.directives:
        return None
    field = node.selection_set.selections[0]
    if not isinstance(field, FieldNode) or field.directives or field.selection_set is None:
        return None
    name = field.name.value
    arguments = {argument.name.value: argument.value for argument in field.arguments or ()}
    if name == "publishEvent" and arguments.keys() == {"event"}:
        receipt = _plain(field.selection_set, _RECEIPT)
        read = _reader(node, arguments["event"], None, single=True)
        return None if receipt is None or read is None else PublishPlan(field, cost, True, read, _show_single(receipt))
    if name == "publishEvents" and arguments.keys() <= {"events", "atomic"} and "events" in arguments:
        show = _show_report(field.selection_set)
        read = _reader(node, arguments["events"], arguments.get("atomic"), single=False)
        return None if show is None or read is None else PublishPlan(field, cost, False, read, show)
    return None


def _plain(selection: SelectionSetNode, known: dict[str, str]) -> str | None:
    """The selected fields as the source of a dict. Its keys are names of GraphQL: letters, digits and underscores."""
    fields: dict[str, str] = {}
    for node in selection.selections:
        if not isinstance(node, FieldNode) or node.directives or node.arguments or node.name.value not in known:
            return None
        fields.setdefault((node.alias or node.name).value, known[node.name.value])
    return "{" + ", ".join(f"{key!r}: {value}" for key, value in fields.items()) + "}"


def _show_single(fields: str) -> Callable[..., Any]:
    shown = _compiled("index, receipt, sign", fields)
    return lambda receipts, rejections, sign: shown(*receipts[0], sign)


def _compiled(parameters: str, expression: str) -> Callable[..., Any]:
    # of what a client sends only names of fields are in it
    made: Callable[..., Any] = eval(f"lambda {parameters}: {expression}", {})  # noqa: S307
    return made


def _show_report(selection: SelectionSetNode) -> Callable[..., Any] | None:
    parts: dict[str, Callable[..., Any]] = {}
    for node in selection.selections:
        if not isinstance(node, FieldNode) or node.directives:
            return None
        key, name = (node.alias or node.name).value, node.name.value
        if key in parts:
            return None  # two selections of one object would have to be merged
        if name == "__typename":
            parts[key] = lambda receipts, rejections, sign: "PublishReport"
            continue
        assert node.selection_set is not None
        fields = _plain(node.selection_set, _RECEIPT if name == "receipts" else _REJECTION)
        if fields is None:
            return None
        parts[key] = _show_receipts(fields) if name == "receipts" else _show_rejections(fields)

    def show(receipts: Sequence[tuple[int, Receipt]], rejections: Sequence[Any], sign: SignCursor) -> Any:
        return {key: part(receipts, rejections, sign) for key, part in parts.items()}

    return show


def _show_receipts(fields: str) -> Callable[..., Any]:
    return _compiled("receipts, rejections, sign", f"[{fields} for index, receipt in receipts]")


def _show_rejections(fields: str) -> Callable[..., Any]:
    return _compiled("receipts, rejections, sign", f"[{fields} for rejection in rejections]")


def _reader(
    node: OperationDefinitionNode, events: Any, atomic: Any, *, single: bool
) -> Callable[[msgspec.Raw], Publish | None] | None:
    definitions = {definition.variable.name.value: definition for definition in node.variable_definitions or ()}
    if not isinstance(events, VariableNode) or not definitions.keys() <= _names(events, atomic):
        return None  # a further variable would have to be coerced for its errors
    if definitions[events.name.value].default_value is not None:
        return None
    flag = _flag(atomic, definitions)
    if flag is None:
        return None
    kind = GraphQLEventInput if single else list[GraphQLEventInput]  # type: ignore[valid-type]
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [("events", kind), ("atomic", bool, flag.default)]
    names = {"events": events.name.value, "atomic": flag.variable or ""}
    variables = msgspec.defstruct("Variables", fields if flag.variable else fields[:1], rename=names, gc=False)
    decode = msgspec.json.Decoder(variables).decode

    def read(raw: msgspec.Raw) -> Publish | None:
        try:
            said: Any = decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        found = [said.events] if single else said.events
        return Publish(found, said.atomic if flag.variable else flag.default) if all(map(_usable, found)) else None

    return read


class _Flag(NamedTuple):
    """`variable`: its name, or None where the document itself decides. `default`: where nothing is said."""

    variable: str | None
    default: bool


def _flag(atomic: Any, definitions: dict[str, VariableDefinitionNode]) -> _Flag | None:
    if atomic is None:
        return _Flag(None, True)
    if isinstance(atomic, BooleanValueNode):
        return _Flag(None, atomic.value)
    if not isinstance(atomic, VariableNode):
        return None
    default = definitions[atomic.name.value].default_value
    if default is None:
        return _Flag(atomic.name.value, True)
    return _Flag(atomic.name.value, default.value) if isinstance(default, BooleanValueNode) else None


def _names(*values: Any) -> set[str]:
    return {value.name.value for value in values if isinstance(value, VariableNode)}


def _usable(said: EventInput) -> bool:
    """What GraphQL's types would refuse though the structure allows it: graphql-core shall say so."""
    return said.payload != _NULL and (said.expected_sequence is None or -MAX_LONG <= said.expected_sequence <= MAX_LONG)
