"""What each operation of a reducer does to a state (docs/reference/reducers.md says the same in words)."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from schema.filter.computing import add
from schema.filter.counted import Spend, compile_counted
from schema.filter.failure import Failure, fail, kind_of
from schema.filter.syntax import Call, Literal, Node, Path, children
from schema.filter.times import format_time, parse_time
from schema.filter.values import MISSING, is_number, step
from schema.folding.declared import Kind, Operation
from schema.folding.merge import merge_into
from schema.folding.state import State, bound_of, element

Context = dict[str, Any]
"""`event` as an Event; `state` is filled in for the expressions that speak of it."""
Apply = Callable[[State, Context], None]
Value = Callable[[State, Context], Any]
Change = Callable[[State, tuple[str, ...], Any, Spend], None]


def compile_operation(operation: Operation, spend: Spend) -> Apply:
    """A function that does the operation; it raises ExpressionError or what `spend` raises."""
    path = operation.path
    if operation.kind is Kind.DROP:
        return lambda state, context: state.emptied()
    if operation.kind is Kind.REMOVE:
        return lambda state, context: _remove(state, path, spend)
    change = _CHANGES[operation.kind]
    if operation.expression is None:
        constant = operation.value
        return lambda state, context: change(state, path, constant, spend)
    value = _value_of(operation.expression.tree, spend, times=operation.kind in (Kind.MIN, Kind.MAX))
    return lambda state, context: change(state, path, value(state, context), spend)


def _value_of(tree: Node, spend: Spend, *, times: bool) -> Value:
    """What an expression gives, as JSON; with `times` a moment stays one."""
    function = compile_counted(tree, spend)
    nodes = list(_nodes(tree))
    reads_state = any(isinstance(node, Path) and node.name == "state" for node in nodes)
    makes_times = any(_may_be_time(node) for node in nodes)
    if not reads_state and not makes_times:
        return lambda state, context: function(context)

    def value(state: State, context: Context) -> Any:
        if reads_state:
            context["state"] = {} if state.value is None else state.value
        result = function(context)
        if type(result) is dict or type(result) is list:
            if reads_state:
                state.share()
            if makes_times:
                result = _as_json(result, spend)
        elif type(result) is datetime and not times:
            result = format_time(result)
        return result

    return value


def _nodes(tree: Node) -> list[Node]:
    return [tree, *(node for child in children(tree) for node in _nodes(child))]


def _may_be_time(node: Node) -> bool:
    match node:
        case Call("timestamp", _):
            return True
        case Literal(value):
            return isinstance(value, datetime)
        case Path("event", (field, *_)):
            return field in ("timestamp", "recorded_at")
    return False


def _as_json(value: Any, spend: Spend) -> Any:
    if type(value) is datetime:
        return format_time(value)
    if type(value) is dict:
        spend(len(value))
        return {key: _as_json(item, spend) for key, item in value.items()}
    if type(value) is list:
        spend(len(value))
        return [_as_json(item, spend) for item in value]
    return value


def _current(holder: Any, path: tuple[str, ...]) -> Any:
    """What is there; None where nothing is (a null counts as nothing)."""
    if type(holder) is dict:
        return holder.get(path[-1])
    return holder[element(holder, path, len(path) - 1)]


def _put(state: State, holder: Any, path: tuple[str, ...], value: Any, spend: Spend) -> None:
    size, depth = bound_of(value, spend)
    if type(holder) is dict:
        holder[path[-1]] = value
    else:
        holder[element(holder, path, len(path) - 1)] = value
    state.grew(path, size, depth)


def _set(state: State, path: tuple[str, ...], value: Any, spend: Spend) -> None:
    if not path:
        size, depth = bound_of(value, spend)
        state.value = value
        state.grew(path, size, depth)
        return
    _put(state, state.holder(path, spend), path, value, spend)


def _merge(state: State, path: tuple[str, ...], patch: Any, spend: Spend) -> None:
    size, depth = bound_of(patch, spend)
    if not path:
        state.value = merge_into(state.value, patch, state, spend)
    else:
        holder = state.holder(path, spend)
        merged = merge_into(_current(holder, path), patch, state, spend)
        holder[path[-1] if type(holder) is dict else int(path[-1])] = merged
    state.grew(path, size, depth)


def _append(state: State, path: tuple[str, ...], value: Any, spend: Spend) -> None:
    holder = state.holder(path, spend)
    items = _current(holder, path)
    if items is not None and type(items) is not list:
        fail(Failure.WRONG_TYPE, f"append to {'.'.join(path)}, which is {kind_of(items)}, not a list")
    items = state.made([]) if items is None else state.own(items, spend)
    size, depth = bound_of(value, spend)
    items.append(value)
    holder[path[-1] if type(holder) is dict else int(path[-1])] = items
    state.grew(path, size + 3, depth + 1)


def _increment(state: State, path: tuple[str, ...], value: Any, spend: Spend) -> None:
    if not is_number(value):
        fail(Failure.WRONG_TYPE, f"increment {'.'.join(path)} by {kind_of(value)}")
    holder = state.holder(path, spend)
    current = _current(holder, path)
    if current is None:
        current = 0
    elif not is_number(current):
        fail(Failure.WRONG_TYPE, f"increment {'.'.join(path)}, which is {kind_of(current)}")
    _put(state, holder, path, add(current, value), spend)


def _extreme(name: str, better: Callable[[Any, Any], bool]) -> Change:
    """`min` and `max`: the value that is there stays unless the new one is better."""

    def change(state: State, path: tuple[str, ...], value: Any, spend: Spend) -> None:
        text = format_time(value) if type(value) is datetime else value
        if not is_number(text) and type(text) is not str:
            fail(Failure.WRONG_TYPE, f"{name} at {'.'.join(path)} of {kind_of(value)}; it takes numbers or texts")
        holder = state.holder(path, spend)
        current = _current(holder, path)
        if current is not None:
            # Moments are compared as moments: as texts, half a second would come before its whole second.
            known = parse_time(current) if type(value) is datetime and type(current) is str else current
            if not (is_number(known) and is_number(value)) and (type(known) is not type(value)):
                fail(Failure.WRONG_TYPE, f"{name} at {'.'.join(path)} of {kind_of(current)} and {kind_of(value)}")
            if not better(value, known):
                return
        _put(state, holder, path, text, spend)

    return change


def _remove(state: State, path: tuple[str, ...], spend: Spend) -> None:
    found = state.value
    for key in path:
        found = step(found, key)
    if found is MISSING:
        return
    holder = state.holder(path, spend)
    del holder[path[-1] if type(holder) is dict else int(path[-1])]


_CHANGES: dict[Kind, Change] = {
    Kind.SET: _set,
    Kind.MERGE: _merge,
    Kind.APPEND: _append,
    Kind.INCREMENT: _increment,
    Kind.MIN: _extreme("min", lambda value, current: value < current),
    Kind.MAX: _extreme("max", lambda value, current: value > current),
}
