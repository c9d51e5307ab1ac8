"""The default partitioning, against records librdkafka's producer placed at a real broker."""

from uuid import uuid4

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from store.log.partitioner import partition

PARTITIONS = 7


def test_a_key_goes_where_librdkafka_puts_it(kafka_servers: str) -> None:
    topic = f"partitioner-{uuid4().hex}"
    admin = AdminClient({"bootstrap.servers": kafka_servers})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(20)
    producer = Producer({"bootstrap.servers": kafka_servers, "partitioner": "murmur2_random"})
    placed: dict[bytes, int] = {}
    keys = [f"N{number * 7919}{'ü' * (number % 5)}".encode() for number in range(500)]
    for key in keys:
        producer.produce(
            topic, b"v", key, on_delivery=lambda error, message: placed.update({message.key(): message.partition()})
        )
    assert producer.flush(20) == 0

    assert placed == {key: partition(key, PARTITIONS) for key in keys}
    admin.delete_topics([topic])[topic].result(20)
