"""An aggregate's global id says its type, its id and the moment, whatever characters they hold."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from schema.aggregate import AggregateName, AtHappened, AtSequence, global_id, parse_global_id

types = st.text("ab_.:/-%@", min_size=1, max_size=8) | st.sampled_from(["evt_x", "agt_1", "prj_", "a:b"])
ids = st.text(min_size=1, max_size=8) | st.text("@:%240Z-", min_size=1)
moments = st.one_of(
    st.none(),
    st.integers(0, 2**53 - 1).map(AtSequence),
    st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)).map(AtHappened),
)


@given(types, ids, moments)
def test_what_is_written_is_read_back(kind: str, name: str, at: AtSequence | AtHappened | None) -> None:
    said = AggregateName(kind, name, at)
    text = global_id(said)
    assert parse_global_id(text) == said
    assert text[:4] not in ("evt_", "str_", "rte_", "agt_", "prj_", "sch_", "rpl_")


def test_plain_names_stand_as_they_are() -> None:
    assert global_id(AggregateName("Order", "o:1", AtSequence(3))) == "Order:o:1@3"
    for text in ("Order", ":1", "Order:", "Order:1@", "Order:1@x", "Order:1@2026-01-01T00:00:00"):
        assert parse_global_id(text) is None
