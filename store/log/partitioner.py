"""Which partition a record belongs to: the Java client's default rules, so that our records and other producers' of
the same key meet in one partition (Kafka, `BuiltInPartitioner` and KIP-794 for records without a key).
"""

from random import randrange

from murmurhash2 import murmurhash2

_SEED = 0x9747B28C
STICKY_BYTES = 16 * 1024


def partition(key: bytes, partitions: int) -> int:
    """The partition of a record with a key: murmur2, its sign bit cleared, modulo their number."""
    return (murmurhash2(key, _SEED) & 0x7FFFFFFF) % partitions


class Sticky:
    """Records without a key: one partition until `STICKY_BYTES` went there, then another one drawn at random.

    A batch a partition instead of a record a partition; evenly spread over time.
    """

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._current = randrange(partitions)  # noqa: S311 - a load balancer's choice
        self._room = STICKY_BYTES

    def next(self, size: int) -> int:
        """The partition for a record of `size` bytes."""
        if self._room <= 0:
            self._current = randrange(self._partitions)  # noqa: S311
            self._room = STICKY_BYTES
        self._room -= size
        return self._current
