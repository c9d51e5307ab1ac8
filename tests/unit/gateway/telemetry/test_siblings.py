"""The page of all workers' metrics is one that Prometheus reads, and says of each sample whose it is."""

from prometheus_client.parser import text_string_to_metric_families

from gateway.telemetry import Metrics
from gateway.telemetry.siblings import merged
from schema.stream import StreamEngine


def test_samples_of_all_workers_under_one_heading_each() -> None:
    workers = [Metrics() for _ in range(3)]
    for number, metrics in enumerate(workers):
        metrics.published(StreamEngine.LEDGER, 10 * number, 0.002)
    pages = [metrics.exposition() for metrics in workers]
    page = merged([pages[0], b"", pages[2]]).decode()  # the second did not answer
    families = {family.name: family for family in text_string_to_metric_families(page)}
    assert page.count("# TYPE ") == page.count("# HELP ") == len(families)
    assert families.keys() == {family.name for family in text_string_to_metric_families(pages[0].decode())}
    published = {
        sample.labels["worker"]: sample.value
        for sample in families["esb_events_published"].samples
        if sample.labels["engine"] == "ledger"
    }
    assert published == {"0": 0.0, "2": 20.0}
    assert {sample.labels["worker"] for family in families.values() for sample in family.samples} == {"0", "2"}


def test_text_in_labels_and_numbers_stay_as_they_are() -> None:
    page = b'# HELP a b c\n# TYPE a gauge\na{x="y {z} 1"} 1.5e+07\na 2.0\n'
    assert merged([page]) == (b'# HELP a b c\n# TYPE a gauge\na{worker="0",x="y {z} 1"} 1.5e+07\na{worker="0"} 2.0\n')
