"""publish-batch: GraphQL `publishEvents` of 1,000 events, from two publishers that wait for each answer.

Over HTTP, against our own REST batch, which does the same work without GraphQL (`ratio.rest`: ≥ 0.8), and against bare
asyncpg COPY into a table of the same columns and indexes on the same PostgreSQL (`ratio.copy`: ≥ 0.35).

`ratio_kafka`: the mutation on a stream of the Kafka engine, from the request's bytes to the answer's, against bare
aiokafka `send_batch` of events of that size, both in this process: ≥ 0.25. `ratio_kafka_http`: the same over HTTP to a
gateway that reads back and indexes what it writes, on the same cores; for the record.

The peers' rows and records are made beforehand: they are PostgreSQL and Kafka and nothing else.
"""

import asyncio
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast
from uuid import uuid4

import asyncpg
import msgspec
import orjson
import uvloop
from aiokafka import AIOKafkaProducer

from gateway.graphql.documents import Operation
from gateway.graphql.limits import OperationLimits
from gateway.graphql.operations import Caller, Operations
from gateway.graphql.request import decode_request
from gateway.heap import settle_heap
from processors.admission.admission import Admission
from processors.admission.canonical import ContentHash
from resolvers.context import Services
from resolvers.schema import graphql_schema
from schema.cursor import CursorCodec
from schema.identifier import IdentifierSource
from schema.input import ClientContext
from schema.stream import Stream, StreamEngine
from store.log.kafka import KafkaLog
from store.log.partitioner import partition
from store.topics import Topics
from tests.benchmarks.graphql_publish import camel, snake
from tests.benchmarks.harness import compare, finish
from tests.benchmarks.kafka_append import PRINCIPAL, OneStream, send
from tests.benchmarks.ledger_gateway import Bare, inputs, server
from tests.benchmarks.load import CREATE_STREAM, Client
from tests.services.external import environment
from tests.services.gateway import GatewayProcess

BATCH = 1000
BATCHES = int(os.environ.get("BENCH_BATCHES", "15"))
PARTITIONS = 6
PUBLISHERS = 2
# what REST answers; and what a publisher of a firehose wants to know, where the peer says nothing at all
RECEIPT = "index eventId stream position partition offset sequenceNumber cursor recordedAt duplicate"
PLACE = "index eventId partition offset"
_numbers = itertools.count()


def query(receipt: str) -> str:
    """The mutation, with what is selected of each receipt."""
    return (
        "mutation Publish($events: [EventInput!]!) { publishEvents(events: $events, atomic: false)"
        f" {{ receipts {{ {receipt} }} rejections {{ index eventId code message details }} }} }}"
    )


def events(stream: str) -> list[dict[str, Any]]:
    """A batch in GraphQL's words."""
    return [camel(next(_numbers)) | {"stream": stream} for _ in range(BATCH)]


def graphql_body(stream: str, receipt: str = RECEIPT) -> bytes:
    """A request of GraphQL."""
    return orjson.dumps({"query": query(receipt), "variables": {"events": events(stream)}})


def rest_body(stream: str) -> bytes:
    """The same of REST."""
    said = [{snake(name): value for name, value in event.items()} for event in events(stream)]
    return orjson.dumps({"events": said, "atomic": False})


async def rate(client: Client, path: str, stream: str, body: Callable[[str], bytes]) -> float:
    """Events a second; the bodies are made before the clock starts."""
    requests = [client.request(path, body(stream)) for _ in range(BATCHES)]

    async def publish(request: bytes) -> None:
        answer = await client.send(request)
        if b'"errors"' in answer or b'"rejections":[]' not in answer:
            raise RuntimeError(answer[:300])

    return await paced(requests, publish)


async def paced(waiting: Sequence[Any], send_one: Callable[[Any], Awaitable[None]]) -> float:
    """Events a second of so many publishers as there are."""
    left = iter(waiting)

    async def work() -> None:
        for one in left:
            await send_one(one)

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(PUBLISHERS)))
    return BATCH * len(waiting) / (time.perf_counter() - began)


async def copied(bare: Bare) -> float:
    """Rows a second."""
    return await bare.copy([bare.rows(inputs(BATCH)) for _ in range(BATCHES)])


async def sent(producer: AIOKafkaProducer, topic: str) -> float:
    """Records a second."""
    batches = [records(events(topic)) for _ in range(BATCHES)]
    return await paced(batches, lambda batch: send(producer, topic, batch))


def records(batch: Iterable[dict[str, Any]]) -> dict[int, list[tuple[bytes, bytes]]]:
    """Keys and values of about the size of what the Kafka engine writes, by partition."""
    placed: dict[int, list[tuple[bytes, bytes]]] = {}
    for number, event in enumerate(batch):
        key = str(event["aggregateId"]).encode()
        said = {snake(name): value for name, value in event.items() if name != "stream"}
        value = msgspec.json.encode({"event_id": f"evt_{number:026d}", "tenant_id": "bench", "metadata": {}, **said})
        placed.setdefault(partition(key, PARTITIONS), []).append((key, value))
    return placed


async def main() -> None:
    settle_heap()  # all sides run as the gateway does
    with environment("ESB_KAFKA_SERVERS") as settings:
        kafka = settings["ESB_KAFKA_SERVERS"]
        producer = AIOKafkaProducer(
            bootstrap_servers=kafka, enable_idempotence=True, compression_type="snappy", max_batch_size=512 * 1024
        )
        await producer.start()
        try:
            over_http = await against_a_gateway(kafka, producer)
            in_process = await in_this_process(kafka, producer)
        finally:
            await producer.stop()
    finish("publish-batch", over_http | in_process, unit="events/s", batch=BATCH, publishers=PUBLISHERS)


async def against_a_gateway(kafka: str, producer: AIOKafkaProducer) -> dict[str, Any]:
    """The figures of a gateway in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="esb-bench-", ignore_cleanup_errors=True) as folder:
        async with server() as dsn:
            settings = {"ESB_POSTGRES_URL": dsn, "ESB_KAFKA_SERVERS": kafka}
            gateway = GatewayProcess(Path(folder, "data"), settings)
            await asyncio.to_thread(gateway.start)
            try:
                async with Client(gateway.url, gateway.token("bench"), PUBLISHERS) as client:
                    return await over_http(client, dsn, producer)
            finally:
                await asyncio.to_thread(gateway.stop)


async def over_http(client: Client, dsn: str, producer: AIOKafkaProducer) -> dict[str, Any]:
    """The ledger's figures, and Kafka's for the record."""
    firehose = f"firehose-{os.getpid()}"
    for name, engine in (("orders", StreamEngine.LEDGER), (firehose, StreamEngine.KAFKA)):
        said = {"streamName": name, "engine": engine.value, "partitions": PARTITIONS}
        await client.graphql(CREATE_STREAM, {"stream": said})
    connection = await asyncpg.connect(dsn)
    try:
        bare = await Bare.make(connection)
        peers = {
            "rest": lambda: rate(client, "/api/v1/events/batch", "orders", rest_body),
            "copy": lambda: copied(bare),
        }
        ledger = await compare(lambda: rate(client, "/graphql", "orders", graphql_body), peers)
    finally:
        await connection.close()
    kafka = await compare(
        lambda: rate(client, "/graphql", firehose, lambda stream: graphql_body(stream, PLACE)),
        {"send_batch": lambda: sent(producer, f"bench.{firehose}")},
    )
    return ledger.summary() | {"ratio_kafka_http": round(kafka.ratio("send_batch"), 3)}


class Using(NamedTuple):
    """The services that publishing uses."""

    admission: Admission
    codec: CursorCodec


async def in_this_process(kafka: str, producer: AIOKafkaProducer) -> dict[str, Any]:
    """Kafka's figures without HTTP, and without the indexer beside it."""
    name = f"bench-{uuid4().hex}"
    stream = Stream(
        key=1,
        tenant="bench",
        stream_id="str_1",
        stream_name=name,
        topic_name=name,
        engine=StreamEngine.KAFKA,
        partitions=PARTITIONS,
    )
    await Topics(kafka).create(stream)
    log, codec = KafkaLog(stream, kafka), CursorCodec(b"k" * 32)
    only = OneStream(stream, log)
    admission = Admission(
        views=only,
        pins=only,
        logs=only,
        codec=codec,
        hashes=ContentHash(b"h" * 32),
        recorder=only,
        identifiers=IdentifierSource(),
    )
    operations = Operations(graphql_schema(), cast(Services, Using(admission, codec)), OperationLimits())

    async def publish(body: bytes) -> None:
        request = decode_request(body)
        operation = operations.find(request)
        assert isinstance(operation, Operation), operation
        answer = await operations.answer(operation, request, Caller(PRINCIPAL, ClientContext()))
        assert not answer.errors, answer.errors
        assert b'"rejections":[]' in answer.body

    try:
        found = await compare(
            lambda: paced([graphql_body(name, PLACE) for _ in range(BATCHES)], publish),
            {"send_batch": lambda: sent(producer, stream.topic)},
        )
    finally:
        await log.close()
    figures = {"kafka": round(statistics.median(found.ours), 1), "ratio_kafka": round(found.ratio("send_batch"), 3)}
    return figures | {"spread_kafka": found.spread("send_batch")}


if __name__ == "__main__":
    uvloop.run(main())
