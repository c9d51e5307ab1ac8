"""Folding events into a state: declared reducers compiled to functions, and what a run of them keeps.

A fold is a pure function of the state and the event: no clock, no randomness, no order of keys. What it refuses (an
expression without a value, a state too large, too much work) it refuses on every machine and at every try.
"""

from collections.abc import Callable, Sequence
from typing import Any

from schema.errors import ErrorCode, EsbError
from schema.event import Event
from schema.filter.counted import compile_counted
from schema.filter.failure import ExpressionError
from schema.filter.pattern import matches
from schema.folding import limits
from schema.folding.declared import Operation, Reducer
from schema.folding.operations import Apply, compile_operation
from schema.folding.state import State

_KEPT_TYPES = 4096

Step = tuple[int, Callable[[dict[str, Any]], Any] | None, tuple[Apply, ...]]
"""A reducer: its number, its condition, its operations."""


class FoldError(EsbError):
    """An event that the reducers cannot fold: it is told which one, and nothing of it is kept.

    `event_id`, `position`, `sequence_number`: of the event; `reducer`, `operation`: their numbers, from 0; `reason`:
    the failure alone. BAD_INPUT, TOO_COMPLEX where the work is too much, PAYLOAD_TOO_LARGE where the state is.
    """

    def __init__(self, error: EsbError, event: Event, reducer: int, operation: int | None) -> None:
        place = f"reducers[{reducer}]" + ("" if operation is None else f".operations[{operation}]")
        super().__init__(
            error.code,
            f"event {event.event_id} ({event.event_type}) cannot be folded: {place}: {error.message}",
            details={
                **(error.details or {}),
                "eventId": event.event_id,
                "position": event.position,
                "sequenceNumber": event.sequence_number,
                "reducer": reducer,
                "operation": operation,
            },
        )
        self.reason = error.message
        self.event_id = event.event_id
        self.position = event.position
        self.sequence_number = event.sequence_number
        self.reducer = reducer
        self.operation = operation


class Fold:
    """Compiled reducers. Not for two threads at once: the work of an event is counted in one place."""

    def __init__(self, reducers: Sequence[Reducer]) -> None:
        self._left = 0
        self._reducers = tuple(
            (reducer.on, (number, *self._compiled(reducer))) for number, reducer in enumerate(reducers)
        )
        self._steps: dict[str, tuple[Step, ...]] = {}

    def _compiled(self, reducer: Reducer) -> tuple[Callable[[dict[str, Any]], Any] | None, tuple[Apply, ...]]:
        where = None if reducer.where is None else compile_counted(reducer.where.tree, self._spend)
        return where, tuple(self._operation(operation) for operation in reducer.operations)

    def _operation(self, operation: Operation) -> Apply:
        return compile_operation(operation, self._spend)

    @property
    def types(self) -> tuple[str, ...]:
        """The patterns of event types that some reducer is on."""
        return tuple(dict.fromkeys(on for on, _ in self._reducers))

    def wants(self, event_type: str) -> bool:
        """Whether an event of this type may change the state."""
        return bool(self._steps_of(event_type))

    def apply(self, state: Any, event: Event) -> Any:
        """The state after `event`; `state` itself is never changed, and parts of both may be shared. None: there is no
        row (yet, or any more). Raises FoldError."""
        folding = self.begin(state)
        folding.apply(event)
        return folding.state

    def begin(self, state: Any = None) -> "Folding":
        """A run over many events, from a state that it does not change: what `apply` does one by one, but faster."""
        return Folding(self, state)

    def _steps_of(self, event_type: str) -> tuple[Step, ...]:
        steps = self._steps.get(event_type)
        if steps is None:
            if len(self._steps) >= _KEPT_TYPES:
                self._steps.clear()
            steps = tuple(step for on, step in self._reducers if matches(on, event_type))
            self._steps[event_type] = steps
        return steps

    def _spend(self, units: int) -> None:
        self._left -= units
        if self._left < 0:
            raise EsbError(
                ErrorCode.TOO_COMPLEX, f"runs too long: more than {limits.MAX_WORK} units of work for one event"
            )

    def _run(self, state: State, event: Event) -> None:
        steps = self._steps_of(event.event_type)
        if not steps:
            return
        self._left = limits.MAX_WORK
        context: dict[str, Any] = {"event": event}
        number: int = 0
        index: int | None = None
        try:
            for number, where, operations in steps:  # noqa: B007  the error names where it stopped
                index = None
                if where is not None and not self._holds(where, context, state):
                    continue
                for index, operation in enumerate(operations):  # noqa: B007
                    operation(state, context)
            state.check()
        except EsbError as error:
            raise FoldError(error, event, number, index) from error

    def _holds(self, where: Callable[[dict[str, Any]], Any], context: dict[str, Any], state: State) -> bool:
        context["state"] = {} if state.value is None else state.value
        try:
            return where(context) is True
        except ExpressionError:
            return False


class Folding:
    """A run of a fold. After a FoldError it is over: begin again from a state taken before."""

    __slots__ = ("_fold", "_state")

    def __init__(self, fold: Fold, state: Any) -> None:
        self._fold = fold
        self._state = State(state)

    def apply(self, event: Event) -> None:
        """Fold one event in. Raises FoldError."""
        self._fold._run(self._state, event)

    @property
    def state(self) -> Any:
        """The state after the events so far; going on does not change what was given out."""
        return self._state.taken()


def compile_reducers(reducers: Sequence[Reducer]) -> Fold:
    """The fold of reducers."""
    return Fold(reducers)
