"""A conversation over the ledger and Kafka: causes are found wherever they are, effects in the streams named."""

import time

import pytest

from tests.end_to_end.api import Api

TALK = """query($s: [String!], $k: Cursor) {
  events(streams: $s, consistentWith: $k, first: 1) { nodes { eventId } }
  correlation(correlationId: "talk", streams: $s) { nodes {
    eventId stream cause { eventId stream cause { eventId } } effects(streams: $s) { nodes { eventId } } } } }"""


@pytest.mark.needs("kafka_servers")
def test_a_tree_across_the_ledger_and_kafka(api: Api) -> None:
    api.graphql("mutation($s:StreamInput!){createStream(stream:$s){id}}", s={"streamName": "clicks", "engine": "KAFKA"})
    talk = {"correlation_id": "talk"}
    root = api.publish("user.seen", {}, **talk)
    click = api.publish("click.made", {}, stream="clicks", causation_id=root["event_id"], **talk)
    reply = api.publish("user.thanked", {}, causation_id=click["event_id"], **talk)
    both = ["user-events", "clicks"]
    deadline = time.monotonic() + 30
    while len(nodes := api.graphql(TALK, s=both, k=click["cursor"])["correlation"]["nodes"]) < 3:
        assert time.monotonic() < deadline
    ids = [root["event_id"], click["event_id"], reply["event_id"]]
    assert sorted(node["eventId"] for node in nodes) == sorted(ids)
    by_id = {node["eventId"]: node for node in nodes}
    assert by_id[ids[2]]["cause"] == {"eventId": ids[1], "stream": "clicks", "cause": {"eventId": ids[0]}}
    assert [by_id[one]["effects"]["nodes"] for one in ids] == [[{"eventId": ids[1]}], [{"eventId": ids[2]}], []]
    ledger = api.graphql(TALK.replace("$k: Cursor", "").replace("consistentWith: $k, ", ""), s=None)["correlation"]
    assert [node["eventId"] for node in ledger["nodes"]] == [ids[0], ids[2]]
