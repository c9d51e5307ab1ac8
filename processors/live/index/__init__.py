"""Which of very many filters an event matches, without asking them one by one."""

from processors.live.index.index import PredicateIndex

__all__ = ["PredicateIndex"]
