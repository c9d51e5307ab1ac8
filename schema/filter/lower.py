"""Expressions as far as possible as tests: `event.payload.n > 3` becomes what the typed filter of the same meaning is.

An expression is true, false or fails; a filter asks only "is it true?". So `!x` asks "is x false?", which has an
answer of its own for every operator: no node below a `!` needs the third value.
"""

from datetime import datetime

from schema.filter.ast import EVERYTHING, FIELDS, NOTHING, And, FieldKind, Filter, Holds, Not, Op, Or, Test
from schema.filter.syntax import Binary, Call, Has, Literal, Logic, Node, Path, Unary

_ORDERING = {"<": Op.LT, "<=": Op.LTE, ">": Op.GT, ">=": Op.GTE}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_TEXT_TESTS = {"startsWith": Op.STARTS_WITH, "endsWith": Op.ENDS_WITH, "contains": Op.CONTAINS}


def lower(tree: Node, want: bool = True) -> Filter:
    """A filter that matches exactly the events for which `tree` evaluates to `want`."""
    match tree:
        case Unary("!", operand):
            return lower(operand, not want)
        case Logic(op, items):
            parts = tuple(lower(item, want) for item in items)
            return And(parts) if (op == "&&") == want else Or(parts)
        case Literal(bool(value)):
            return EVERYTHING if value is want else NOTHING
        case Path():
            return Test(tree, Op.EQ, want)
        case Has(path):
            return Test(path, Op.EXISTS) if want else Not(Test(path, Op.EXISTS))
        case Binary(op, Path() as path, Literal(value)) if op != "in":
            lowered = _comparison(op, path, value, want)
        case Binary(op, Literal(value), Path() as path) if op != "in":
            lowered = _comparison(_MIRRORED[op], path, value, want) if op in _MIRRORED else None
        case Binary("in", Path() as path, Literal(list(values))):
            lowered = _either(Test(path, Op.IN, values), path, want)
        case Binary("in", Literal(value), Path() as path) if want:
            lowered = _member(value, path)
        case Call(function, (Path() as path, Literal(str(text)))) if function in _TEXT_TESTS:
            test = Test(path, _TEXT_TESTS[function], text)
            lowered = And((_is_text(path), test if want else Not(test)))
        case _:
            lowered = None
    if lowered is not None:
        return lowered
    return Holds(tree if want else Unary("!", tree))


def _comparison(op: str, path: Path, value: object, want: bool) -> Filter | None:
    if op in ("==", "!="):
        return Test(path, Op.EQ if (op == "==") == want else Op.NE, value)
    if op in _ORDERING and type(value) in (int, float, str, datetime):
        return _either(Test(path, _ORDERING[op], value), path, want)
    return None


def _either(test: Test, path: Path, want: bool) -> Filter:
    """`test`, or that there is a value that fails it."""
    return test if want else And((Test(path, Op.EXISTS), Not(test)))


def _is_text(path: Path) -> Filter:
    """Every text, and nothing else, is at or after the empty one."""
    return Test(path, Op.GTE, "")


def _member(value: object, path: Path) -> Filter | None:
    """`value in path`: an element of a list or a key of a map; not a part of a text, which CONTAINS would take too."""
    if isinstance(value, datetime) or FIELDS[path.segments[0]] is not FieldKind.JSON:
        return None
    element = And((Test(path, Op.CONTAINS, value), Not(_is_text(path))))
    if not isinstance(value, str):
        return element
    if value.strip().lstrip("+-").isdigit():
        return None  # as a path's segment it would count a list's elements
    return Or((element, Test(Path(path.name, (*path.segments, value)), Op.EXISTS)))
