"""Confluent's own serializers against our registry, and what its API says when something is wrong."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from tests.end_to_end.api import Api

AVRO = {
    "type": "record",
    "name": "User",
    "namespace": "com.acme",
    "fields": [{"name": "name", "type": "string"}, {"name": "age", "type": ["null", "int"], "default": None}],
}
JSON = {"title": "Order", "type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}
REGISTER = "mutation($s: SchemaInput!) { registerSchema(schema: $s) { eventType version format definition } }"
VALUE = MessageField.VALUE


@pytest.fixture
def registry(api: Api) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient(
        {"url": f"{api.gateway.url}/schemaregistry", "basic.auth.user.info": f"anybody:{api.token}", "max.retries": 0}
    ) as client:
        yield client


def test_avro_records_go_out_and_come_back(registry: SchemaRegistryClient, api: Api) -> None:
    context = SerializationContext("users", VALUE)
    sent = AvroSerializer(registry, json.dumps(AVRO))({"name": "Ada", "age": 36}, context)
    assert sent is not None
    assert AvroDeserializer(registry)(sent, context) == {"name": "Ada", "age": 36}

    # a consumer of another process: it knows only the id in the record
    settings = {"url": f"{api.gateway.url}/schemaregistry", "basic.auth.user.info": f"anybody:{api.token}"}
    with SchemaRegistryClient(settings) as fresh:
        assert AvroDeserializer(fresh)(sent, context) == {"name": "Ada", "age": 36}
    found = api.graphql('{ schema(eventType: "users") { version format definition } }')["schema"]
    assert (found["version"], found["format"], json.loads(found["definition"])) == ("1", "AVRO", AVRO)


def test_json_records_go_out_and_come_back(registry: SchemaRegistryClient) -> None:
    context = SerializationContext("orders", VALUE)
    sent = JSONSerializer(json.dumps(JSON), registry)({"id": "o1"}, context)
    assert sent is not None
    assert JSONDeserializer(None, schema_registry_client=registry)(sent, context) == {"id": "o1"}


def test_protobuf_records_go_out_and_come_back(registry: SchemaRegistryClient, api: Api) -> None:
    file = descriptor_pb2.FileDescriptorProto(name="point.proto", package="geo", syntax="proto3")
    message = file.message_type.add(name="Point")
    message.field.add(name="x_axis", number=1, type=descriptor_pb2.FieldDescriptorProto.TYPE_INT32, label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    point = message_factory.GetMessageClass(pool.FindMessageTypeByName("geo.Point"))

    context = SerializationContext("points", VALUE)
    sent = ProtobufSerializer(point, registry)(point(x_axis=3), context)
    assert sent is not None
    back: Any = ProtobufDeserializer(point, schema_registry_client=registry)(sent, context)
    assert back.x_axis == 3

    # the same as text is the same schema
    said = {"eventType": "points", "version": "1", "format": "PROTOBUF"}
    text = 'syntax = "proto3"; package geo; message Point { int32 x_axis = 1; }'
    assert api.graphql(REGISTER, s={**said, "definition": text})["registerSchema"]["version"] == "1"


def test_one_text_has_one_id_and_versions_count(registry: SchemaRegistryClient) -> None:
    schema = Schema(json.dumps(JSON), "JSON")
    first = registry.register_schema("shared-value", schema)
    wider = Schema(json.dumps({**JSON, "properties": {**JSON["properties"], "note": {"type": "string"}}}), "JSON")
    second = registry.register_schema("shared-value", wider)
    assert registry.register_schema("other", schema) == first != second
    assert registry.get_versions("shared") == registry.get_versions("shared-value") == [1, 2]
    assert registry.get_latest_version("shared-value").schema_id == second
    assert registry.lookup_schema("shared-value", schema).version == 1
    assert sorted(registry.get_subjects()) == ["other", "shared"]
    assert registry.get_version("shared", 1).schema.schema_str == json.dumps(JSON)


def test_incompatible_schemas_are_a_conflict(registry: SchemaRegistryClient) -> None:
    registry.register_schema("strict-value", Schema(json.dumps(AVRO)))
    broken = {**AVRO, "fields": [*AVRO["fields"], {"name": "email", "type": "string"}]}
    assert not registry.test_compatibility("strict-value", Schema(json.dumps(broken)))
    with pytest.raises(SchemaRegistryError) as refused:
        registry.register_schema("strict-value", Schema(json.dumps(broken)))
    assert (refused.value.http_status_code, refused.value.error_code) == (409, 409)
    assert "email" in str(refused.value)
    registry.set_compatibility("strict-value", "NONE")
    assert registry.get_compatibility("strict-value") == "NONE"
    assert registry.test_compatibility("strict-value", Schema(json.dumps(broken)))
    registry.register_schema("strict-value", Schema(json.dumps(broken)))


@pytest.mark.parametrize(
    ("method", "path", "body", "number"),
    [
        ("GET", "/subjects/nothing/versions", None, 40401),
        ("GET", "/subjects/known/versions/9", None, 40402),
        ("GET", "/subjects/known/versions/soon", None, 42202),
        ("GET", "/schemas/ids/2147483647", None, 40403),
        ("GET", "/schemas/ids/" + "9" * 400, None, 40403),
        ("POST", "/subjects/known", {"schema": '"int"'}, 40403),
        ("POST", "/subjects/known/versions", {"schema": '{"type":'}, 42201),
        ("POST", "/subjects/known/versions", {"schema": "{}", "schemaType": "XML"}, 42201),
        ("POST", "/subjects/known/versions", {"nothing": 1}, 42201),
        ("POST", "/subjects/a..b/versions", {"schema": '"string"'}, 42201),
        ("POST", "/subjects/known/versions", {"schema": "message {", "schemaType": "PROTOBUF"}, 42201),
        ("PUT", "/config", {"compatibility": "SOMETIMES"}, 42203),
        ("GET", "/config/unset", None, 40408),
    ],
)
def test_what_is_wrong_has_confluents_number(api: Api, method: str, path: str, body: Any, number: int) -> None:
    content_type = {"content-type": "application/vnd.schemaregistry.v1+json"}
    made = api.http.post("/schemaregistry/subjects/known/versions", json={"schema": '"string"'}, headers=content_type)
    assert made.status_code == 200, made.text
    answer = api.http.request(method, f"/schemaregistry{path}", json=body, headers=content_type)
    assert (answer.status_code, answer.json()["error_code"]) == (int(str(number)[:3]), number), answer.text
    assert "/tmp" not in answer.text


def test_the_token_says_who_and_which_tenant(api: Api, registry: SchemaRegistryClient) -> None:
    made = registry.register_schema("private-value", Schema('"string"'))
    base = f"{api.gateway.url}/schemaregistry"
    with httpx.Client(trust_env=False) as nobody:
        refused = nobody.get(f"{base}/subjects")
        assert (refused.status_code, refused.json()["error_code"]) == (401, 40101)
        forged = base64.b64encode(b"user:not-a-token").decode()
        assert nobody.get(f"{base}/subjects", headers={"authorization": f"Basic {forged}"}).status_code == 401
    reader = Api(api.gateway, api.tenant, "reader")
    assert reader.http.get("/schemaregistry/subjects").json() == ["private"]
    body = {"schema": '"int"'}
    refused = reader.http.post("/schemaregistry/subjects/mine/versions", json=body)
    assert (refused.status_code, refused.json()["error_code"]) == (403, 40301)
    stranger = Api(api.gateway, f"{api.tenant}_stranger")
    assert stranger.http.get("/schemaregistry/subjects").json() == []
    assert stranger.http.get(f"/schemaregistry/schemas/ids/{made}").json()["error_code"] == 40403
    reader.close()
    stranger.close()
