"""A projection as declared: which events, which row each belongs to, what they do to it, what is kept."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from schema.errors import EsbError, bad_input
from schema.filter import limits as filter_limits
from schema.filter.ast import EVERYTHING, And, Filter, Op, Or, Test
from schema.filter.document import to_document as filter_document
from schema.filter.expression import Expression, parse_expression
from schema.filter.syntax import Path
from schema.filter.typed import parse_filter
from schema.filter.values import is_index
from schema.folding.declared import Reducer, parse_reducers
from schema.folding.declared import to_document as reducers_document

MAX_NAME_CHARS = 128
MAX_STREAMS = 100
MAX_INDEXES = 8

_NAME_CHARS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")


class Mode(StrEnum):
    """When events are applied: all the time in the background, or when somebody reads."""

    BACKGROUND = "BACKGROUND"
    ON_READ = "ON_READ"


class Declaration(msgspec.Struct, frozen=True, kw_only=True):
    """One version's declaration. `streams`: names, None: every ledger stream. `where`: None: every event. `key`: gives
    the row's key, null: the event belongs to none. `indexes`: dotted paths into the rows' values. `history`: whether
    every state a row ever had is kept."""

    name: str
    streams: tuple[str, ...] | None
    where: Filter | None
    key: Expression
    reducers: tuple[Reducer, ...]
    indexes: tuple[str, ...] = ()
    history: bool = True
    mode: Mode = Mode.BACKGROUND

    @property
    def wanted(self) -> Filter:
        """The events that can change a row: what `where` says, of the types the reducers are on."""
        types = [
            Test(Path("event", ("event_type",)), Op.PATTERN, on) for on in dict.fromkeys(r.on for r in self.reducers)
        ]
        return And((self.where or EVERYTHING, Or(tuple(types))))


def parse_declaration(said: Mapping[str, Any]) -> Declaration:
    """The declaration of the contract's `ProjectionInput` with snake_case keys, those that are null counting as left
    out. Raises BAD_INPUT naming what is wrong."""
    where = said.get("where")
    reducers = said.get("reducers") or ()
    if not reducers:
        raise bad_input("reducers: a projection has at least one", path="reducers")
    return Declaration(
        name=_name(said.get("name")),
        streams=_streams(said.get("streams")),
        where=None if where is None else parse_filter(where),
        key=_key(said.get("key")),
        reducers=parse_reducers(reducers, drop=True),
        indexes=_indexes(said.get("indexes") or ()),
        history=said.get("history") is not False,
        mode=Mode(said.get("mode") or Mode.BACKGROUND),
    )


def to_document(declaration: Declaration) -> dict[str, Any]:
    """The declaration as JSON that `parse_declaration` reads back alike: what is stored and shown."""
    return {
        "name": declaration.name,
        "streams": None if declaration.streams is None else list(declaration.streams),
        "where": None if declaration.where is None else filter_document(declaration.where),
        "key": declaration.key.text,
        "reducers": reducers_document(declaration.reducers),
        "indexes": list(declaration.indexes),
        "history": declaration.history,
        "mode": declaration.mode.value,
    }


def _name(name: Any) -> str:
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME_CHARS or not _NAME_CHARS.issuperset(name):
        raise bad_input(f"name: 1 to {MAX_NAME_CHARS} letters, digits, '.', '_' or '-'", path="name")
    return name


def _streams(names: Sequence[str] | None) -> tuple[str, ...] | None:
    if names is None:
        return None
    if not 1 <= len(names) <= MAX_STREAMS:
        raise bad_input(f"streams: 1 to {MAX_STREAMS} names, or left out for all ledger streams", path="streams")
    return tuple(dict.fromkeys(names))


def _key(text: Any) -> Expression:
    try:
        return parse_expression(text)
    except EsbError as error:
        raise bad_input(f"key: {error.message}", **{**(error.details or {}), "path": "key"}) from None


def _indexes(paths: Sequence[str]) -> tuple[str, ...]:
    if len(paths) > MAX_INDEXES:
        raise bad_input(f"indexes: at most {MAX_INDEXES}", path="indexes")
    for number, path in enumerate(paths):
        if problem := path_problem(path):
            raise bad_input(f"indexes[{number}]: {problem}", path=f"indexes[{number}]")
    if len(set(paths)) < len(paths):
        raise bad_input("indexes: a path is given twice", path="indexes")
    return tuple(paths)


def path_problem(path: str) -> str | None:
    """Why a text is no dotted path into a row, or None."""
    if problem := filter_limits.text_problem(path):
        return problem
    segments = path.split(".")
    if not all(segments) or len(segments) > filter_limits.MAX_PATH_SEGMENTS:
        return f"a path is 1 to {filter_limits.MAX_PATH_SEGMENTS} names between dots, such as customer.name"
    # PostgreSQL takes " 1", "+1" and "-1" for places in a list, expressions do not: such names cannot be indexed.
    if any(part.strip().lstrip("+-").isdigit() and not is_index(part) for part in segments):
        return "a name of digits is a plain number without sign and leading zeros"
    return None
