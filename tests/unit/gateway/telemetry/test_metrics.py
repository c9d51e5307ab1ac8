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


def test_lag_is_the_worst_of_those_this_process_looks_after() -> None:
    metrics = Metrics()
    metrics.relay_lag("a", 3)
    metrics.relay_lag("b", 9)
    assert samples(metrics)[("esb_relay_lag_events", ())] == 9
    metrics.relay_lag("b", None)
    assert samples(metrics)[("esb_relay_lag_events", ())] == 3
    metrics.relay_lag("a", None)
    assert samples(metrics)[("esb_relay_lag_events", ())] == 0


def test_labels_are_bounded_and_instances_are_apart() -> None:
    before = len(samples(Metrics()))
    metrics = Metrics()
    for number in range(500):
        metrics.relay_lag(f"tenant-{number}", number)
        metrics.indexer_lag(f"stream-{number}", number)
    assert len(samples(metrics)) == before
