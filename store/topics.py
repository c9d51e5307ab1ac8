"""Kafka topics of streams: made, looked for, and kept as the stream is configured.

A Kafka engine's topic keeps the broker's append time, which is its events' `recorded_at`; a relayed topic keeps the
time the relay gives, the ledger's `recorded_at`, so that retention counts from the commit in both.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, NoError, TopicAlreadyExistsError, for_code

from schema.errors import ErrorCode, EsbError, bad_input
from schema.stream import CleanupPolicy, Compression, Stream, StreamEngine
from store.log.kafka_append import unavailable
from store.log.kafka_client import running

# An event of MAX_EVENT_BYTES with its headers, and what a batch adds.
MAX_MESSAGE_BYTES = 1024 * 1024


class Topics:
    """The streams' topics at one Kafka. `deadline_s` bounds every call."""

    def __init__(self, servers: str, *, deadline_s: float = 15.0) -> None:
        self._servers = servers
        self._deadline_s = deadline_s

    async def create(self, stream: Stream) -> None:
        """Make the stream's topic. Raises ALREADY_EXISTS, or BAD_INPUT with Kafka's reason."""
        if not await self.ensure(stream):
            raise EsbError(ErrorCode.ALREADY_EXISTS, f"the topic {stream.topic!r} exists already")

    async def ensure(self, stream: Stream) -> bool:
        """Make the stream's topic unless it is there; whether it was made."""
        topic = NewTopic(
            stream.topic, stream.partitions, stream.replication_factor, topic_configs=_configuration(stream)
        )
        return await self._make(topic)

    async def ensure_marker(self, name: str) -> None:
        """Make a topic that carries nothing: consumer-group offsets can only be kept against one that exists."""
        async with self._admin() as admin:
            brokers = len((await admin.describe_cluster())["brokers"])
        await self._make(NewTopic(name, 1, min(brokers, 3)))

    async def exists(self, topic: str) -> bool:
        """Whether Kafka has this topic, or one that it would confuse with it ("." and "_" share metric names)."""
        async with self._admin() as admin:
            names = await admin.list_topics()
        return _confusable(topic) in {_confusable(name) for name in names}

    async def alter(self, stream: Stream) -> None:
        """Give the topic the stream's retention, cleanup and compression. Raises NOT_FOUND, or BAD_INPUT."""
        resource = ConfigResource(ConfigResourceType.TOPIC, stream.topic, configs=_configuration(stream))
        async with self._admin() as admin:
            for response in await admin.alter_configs([resource]):
                for code, message, *_ in response.resources:
                    _raise_for(code, message, stream.topic)

    async def _make(self, topic: NewTopic) -> bool:
        async with self._admin() as admin:
            response = await admin.create_topics([topic])
        for name, code, *message in response.topic_errors:
            if for_code(code) is TopicAlreadyExistsError:
                return False
            _raise_for(code, message[0] if message else None, name)
        return True

    @contextlib.asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._servers, request_timeout_ms=int(self._deadline_s * 1000))
        try:
            async with asyncio.timeout(self._deadline_s), running(admin, deadline_s=self._deadline_s):
                yield admin
        except (KafkaError, OSError, TimeoutError) as error:
            raise unavailable(error) from error


def _configuration(stream: Stream) -> dict[str, str]:
    retention, codec = stream.retention_policy, stream.compression
    on_append = stream.engine is StreamEngine.KAFKA
    return {
        "cleanup.policy": "compact" if stream.cleanup_policy is CleanupPolicy.COMPACT else "delete",
        "compression.type": "uncompressed" if codec is Compression.NONE else codec.value.lower(),
        "retention.ms": str(-1 if retention.time_ms is None else retention.time_ms),
        "retention.bytes": str(-1 if retention.size_bytes is None else retention.size_bytes),
        "max.message.bytes": str(MAX_MESSAGE_BYTES),
        "message.timestamp.type": "LogAppendTime" if on_append else "CreateTime",
    }


def _confusable(topic: str) -> str:
    return topic.replace(".", "_")


def _raise_for(code: int, message: str | None, topic: str) -> None:
    error = for_code(code)
    if error is NoError:
        return
    if error.__name__ == "UnknownTopicOrPartitionError":
        raise EsbError(ErrorCode.NOT_FOUND, f"Kafka has no topic {topic!r}")
    if error.retriable:
        raise unavailable(error(message or ""))
    raise bad_input(f"Kafka refuses the topic {topic!r}: {message or error.__name__}")
