"""How large a fold and what it makes may be. All of them are counted, none is timed: every machine decides alike."""

MAX_STATE_BYTES = 1024 * 1024
"""Of a state as JSON."""
MAX_STATE_DEPTH = 64
"""Objects and lists within each other in a state."""
MAX_REDUCERS = 100
MAX_OPERATIONS = 500
"""Of all reducers of one declaration."""
MAX_WORK = 1_000_000
"""Units of work one event may cause: about a value visited or 64 characters moved each (see schema.filter.counted)."""
