"""Signals within one process."""

from broadcaster._backends.memory import MemoryBackend

from store.signals.broadcast import BroadcastSignals


def memory_signals() -> BroadcastSignals:
    """For a gateway that is alone on its log."""
    return BroadcastSignals(lambda: MemoryBackend("memory://"))
