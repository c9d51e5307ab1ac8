import time
from concurrent.futures import ThreadPoolExecutor

from schema.identifier import EVENT_ID, IdentifierSource


def test_identifiers_ascend_within_and_across_milliseconds():
    source = IdentifierSource()
    made = [source.ulid() for _ in range(20_000)]
    assert made == sorted(set(made))


def test_identifiers_stay_unique_across_threads():
    source = IdentifierSource()
    with ThreadPoolExecutor(8) as pool:
        made = [ulid for many in pool.map(lambda _: [source.ulid() for _ in range(2000)], range(8)) for ulid in many]
    assert len(set(made)) == len(made)


def test_a_clock_that_steps_back_is_not_followed(monkeypatch):
    source = IdentifierSource()
    before = source.ulid()
    monkeypatch.setattr(time, "time_ns", lambda: 1)
    assert source.ulid() > before


def test_an_event_id_has_the_specified_shape():
    assert EVENT_ID.match(IdentifierSource().event_id())
    assert not EVENT_ID.match("evt_01J2X3Y4Z5A6B7C8D9E0F1G2U3")  # U is no letter of Crockford's base 32
