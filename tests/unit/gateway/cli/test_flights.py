"""The demo's events, from rows as they stand in the data set."""

from zoneinfo import ZoneInfo

import msgspec

from gateway.cli.flights import _in_time_order
from processors.admission.envelope import check
from schema.identifier import EVENT_ID
from schema.input import EventInput
from schema.principal import Principal

ZONES = {"IAH": ZoneInfo("America/Chicago"), "LAX": ZoneInfo("America/Los_Angeles")}
UNITED = dict(
    year="2013", month="1", day="1", dep_time="517", sched_dep_time="515", dep_delay="2", arr_time="830",
    sched_arr_time="819", arr_delay="11", carrier="UA", flight="1545", tailnum="N14228", origin="EWR", dest="IAH",
    air_time="227", distance="1400", hour="5", minute="15", time_hour="2013-01-01T10:00:00Z",
)  # fmt: skip
CANCELLED = {**UNITED, "dep_time": "NA", "dep_delay": "NA", "arr_time": "NA", "tailnum": "NA"}
OVER_MIDNIGHT = {**UNITED, "arr_time": "5", "dest": "LAX", "time_hour": "2013-01-02T03:00:00Z"}
LATER = {**UNITED, "time_hour": "2013-01-01T11:00:00Z", "dep_delay": "-70"}


def made(*rows):
    return list(_in_time_order(enumerate(rows), ZONES))


def test_a_flight_departs_and_arrives_at_the_clocks_of_both_airports():
    departed, arrived = made(UNITED)
    assert (departed.kind, departed.at.isoformat()) == ("departed", "2013-01-01T10:17:00+00:00")
    assert (arrived.kind, arrived.at.isoformat()) == ("arrived", "2013-01-01T14:30:00+00:00")
    document = arrived.document()
    assert (document["aggregate_type"], document["aggregate_id"]) == ("Aircraft", "N14228")
    assert document["payload"]["delay_minutes"] == 11


def test_an_arrival_after_midnight_is_the_next_day():
    departed, arrived = made(OVER_MIDNIGHT)
    assert 0 < (arrived.at - departed.at).total_seconds() < 24 * 3600
    assert arrived.at.astimezone(ZONES["LAX"]).strftime("%H:%M") == "00:05"


def test_a_cancelled_flight_without_an_aircraft_is_one_event_of_no_aggregate():
    (cancelled,) = made(CANCELLED)
    assert cancelled.kind == "cancelled"
    assert "aggregate_id" not in cancelled.document()


def test_events_come_in_event_time_order_and_keep_their_ids():
    events = made(UNITED, CANCELLED, LATER)
    assert [event.at for event in events] == sorted(event.at for event in events)
    assert events[0].row_number == 2, "an early departure of a later hour comes first"
    assert [event.event_id() for event in events] == [event.event_id() for event in made(UNITED, CANCELLED, LATER)]
    assert len({event.event_id() for event in events}) == len(events)


def test_admission_takes_every_event():
    for event in made(UNITED, CANCELLED, OVER_MIDNIGHT):
        document = event.document()
        assert EVENT_ID.match(document["event_id"])
        check(msgspec.json.decode(msgspec.json.encode(document), type=EventInput), Principal(tenant="a"))
