import io

import pytest

from gateway.cli.publish import _batches
from schema.identifier import EVENT_ID


def ids(text: bytes) -> list[str]:
    return [document["event_id"] for batch in _batches(io.BytesIO(text)) for _, document in batch.events]


def test_lines_without_an_id_get_one_that_a_second_run_repeats():
    text = b'{"event_type":"a.b","payload":1}\n\n{"event_type":"a.b","payload":1}\n'
    first = ids(text)
    assert first == ids(text)
    assert len(set(first)) == 2, "the same line twice is two events"
    assert all(EVENT_ID.match(each) for each in first)


def test_an_id_that_is_given_stays():
    given = "evt_01J2X3Y4Z5A6B7C8D9E0F1G2H3"
    assert ids(b'{"event_id":"%s","event_type":"a.b"}' % given.encode()) == [given]


@pytest.mark.parametrize("line", [b"{", b"[]", b"\xff"])
def test_a_line_that_is_no_event_is_named_and_the_others_stay(line):
    (batch,) = _batches(io.BytesIO(b'{"n":1}\n' + line + b'\n{"n":3}\n'))
    assert [number for number, _ in batch.events] == [1, 3]
    assert [(number, code) for number, code, _ in batch.broken] == [(2, "BAD_INPUT")]


def test_no_line_is_left_out_of_a_batch():
    text = b"".join(b'{"n":%d}\n' % n for n in range(2500))
    batches = list(_batches(io.BytesIO(text)))
    assert [len(batch.events) for batch in batches] == [1000, 1000, 500]
    assert sum(batch.size for batch in batches) == len(text)
    assert [number for batch in batches for number, _ in batch.events] == list(range(1, 2501))
