from prometheus_client.parser import text_string_to_metric_families

from gateway.telemetry.metrics import Metrics
from schema.errors import ErrorCode
from schema.stream import StreamEngine


def samples(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {(s.name, tuple(s.labels.values())): s.value for family in families for s in family.samples}


def test_what_happened_is_counted() -> None:
    metrics = Metrics()
    metrics.published(StreamEngine.LEDGER, 3, 0.004)
    metrics.rejected(ErrorCode.BAD_INPUT, 2)
    metrics.delivered(5, 0.002)
    metrics.delivered(7, None)
    metrics.overflowed("DROP_OLDEST", 4)
    metrics.watch_live(lambda: 11, lambda: 12)
    seen = samples(metrics)
    assert seen[("esb_events_published_total", ("ledger",))] == 3
    assert seen[("esb_append_seconds_count", ("ledger",))] == 1
    assert seen[("esb_append_seconds_bucket", ("ledger", "0.005"))] == 1
    assert seen[("esb_events_rejected_total", ("BAD_INPUT",))] == 2
    assert seen[("esb_events_delivered_total", ())] == 12
    assert seen[("esb_end_to_end_seconds_count", ())] == 1
    assert seen[("esb_events_dropped_total", ("drop_oldest",))] == 4
    assert seen[("esb_live_subscriptions", ())] == 11
    assert seen[("esb_live_buffer_bytes", ())] == 12


def test_lag_is_asked_at_each_scrape() -> None:
    metrics = Metrics()
    behind = {"relay": 3, "indexer": 0}
    metrics.watch_lag(lambda: behind["relay"], lambda: behind["indexer"])
    assert samples(metrics)[("esb_relay_lag_events", ())] == 3
    behind.update(relay=0, indexer=9)
    assert samples(metrics)[("esb_relay_lag_events", ())] == 0
    assert samples(metrics)[("esb_indexer_lag_events", ())] == 9


def test_two_instances_share_nothing() -> None:
    one, other = Metrics(), Metrics()
    one.published(StreamEngine.LEDGER, 3, 0.004)
    assert samples(other)[("esb_events_published_total", ("ledger",))] == 0
