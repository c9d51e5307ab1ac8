import json
from collections import Counter
from pathlib import Path

import pytest

from store.log.partitioner import STICKY_BYTES, Sticky, partition

# Where kafka-console-producer 4.1.0 (Java, default partitioner) put a record of each key.
GOLDEN = json.loads((Path(__file__).parent / "java_partitions.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("partitions", [1, 3, 6, 48])
def test_a_key_goes_where_the_java_producer_puts_it(partitions: int) -> None:
    ours = [partition(key.encode(), partitions) for key in GOLDEN["keys"]]

    assert ours == GOLDEN["partitions"][str(partitions)]


def test_records_without_a_key_stay_together_and_then_move_on() -> None:
    sticky = Sticky(6)
    runs = [{sticky.next(STICKY_BYTES // 16) for _ in range(16)} for _ in range(600)]

    assert all(len(run) == 1 for run in runs)
    share = Counter(next(iter(run)) for run in runs)
    assert set(share) == set(range(6))
    assert min(share.values()) > 50
