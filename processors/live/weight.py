"""What an event counts in the live path's budgets of bytes."""

from schema.event import Event

EVENT_OVERHEAD_BYTES = 1024
"""What an event takes in memory besides its body, about: the decoded fields and the object."""


def weight(event: Event) -> int:
    """Bytes an event is counted with in every budget of the live path."""
    return len(event.body) + EVENT_OVERHEAD_BYTES
