"""The part of Confluent's Schema Registry API that serializers use, under `/schemaregistry`.

Paths, fields and error codes after docs.confluent.io ("Schema Registry API Reference"). A subject is an event type; the
ending `-value`, which Confluent's usual naming adds, is dropped. Nothing can be deleted: events name their version for
as long as they are kept.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.problems import HttpRefusal, status_of
from gateway.rest.body import decoded, read_json
from gateway.rest.guard import Endpoint, Guard, Handler
from processors.schemas.schemas import Schemas
from schema.errors import ErrorCode, EsbError
from schema.payloads.declared import Compatibility, Definition, SchemaFormat, SchemaVersion
from schema.payloads.limits import MAX_DEFINITION_BYTES
from schema.payloads.protobuf import canonical, main_file
from schema.principal import Principal

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
_MAX_BODY = 4 * MAX_DEFINITION_BYTES  # a definition inside a JSON text, every quote escaped
_SUFFIX = "-value"
_FORMATS = {"AVRO": SchemaFormat.AVRO, "JSON": SchemaFormat.JSON_SCHEMA, "PROTOBUF": SchemaFormat.PROTOBUF}
_NAMES = {format: name for name, format in _FORMATS.items()}
_CODES = {
    ErrorCode.UNAUTHENTICATED: 40101,
    ErrorCode.FORBIDDEN: 40301,
    ErrorCode.BAD_INPUT: 42201,
    ErrorCode.TOO_COMPLEX: 42201,
    ErrorCode.SCHEMA_VIOLATION: 409,
    ErrorCode.LOG_UNAVAILABLE: 50001,
    ErrorCode.TIMEOUT: 50002,
}

_log = structlog.get_logger(__name__)


class _Refusal(EsbError):
    """A refusal with Confluent's number; its first three digits are the HTTP status."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(ErrorCode.BAD_INPUT, message)
        self.number = number


class _SchemaBody(msgspec.Struct, rename="camel"):
    """A schema as a client sends it. What else it may say (metadata, rules) does not concern us."""

    schema: str
    schema_type: str | None = None
    references: list[Any] | None = None


class _ConfigBody(msgspec.Struct):
    """A level of compatibility as a client sends it."""

    compatibility: str | None = None


_encoder = msgspec.json.Encoder()
_schema_decoder = msgspec.json.Decoder(_SchemaBody)
_config_decoder = msgspec.json.Decoder(_ConfigBody)


class SchemaRegistryApi:
    """The endpoints; the tenant is the token's. The token comes as Bearer, or as the password of Basic."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas

    def routes(self, guard: Guard) -> list[Route]:
        """The routes, guarded, with failures said in Confluent's way."""

        def route(path: str, handler: Handler, method: str = "GET") -> Route:
            return Route(path, _in_its_words(guard(handler)), methods=[method])

        subject, version = "/subjects/{subject}", "/subjects/{subject}/versions/{version}"
        return [
            route("/subjects", self.subjects),
            route(subject, self.look_up, "POST"),
            route(f"{subject}/versions", self.versions),
            route(f"{subject}/versions", self.register, "POST"),
            route(version, self.version),
            route(f"{version}/schema", self.version_text),
            route("/schemas/types", self.schema_types),
            route("/schemas/ids/{id}", self.by_id),
            route("/schemas/ids/{id}/schema", self.text_by_id),
            route("/schemas/ids/{id}/subjects", self.subjects_of),
            route("/schemas/ids/{id}/versions", self.versions_of),
            route(f"/compatibility{subject}/versions", self.check, "POST"),
            route(f"/compatibility{version}", self.check, "POST"),
            route("/config", self.config),
            route("/config", self.set_config, "PUT"),
            route("/config/{subject}", self.config),
            route("/config/{subject}", self.set_config, "PUT"),
            route("/config/{subject}", self.clear_config, "DELETE"),
            route("/mode", self.mode),
            route("/mode/{subject}", self.mode),
        ]

    async def subjects(self, principal: Principal, _request: Request) -> Response:
        """The event types that have a schema."""
        return _answer(await self._schemas.types(principal))

    async def versions(self, principal: Principal, request: Request) -> Response:
        """The numbers of a subject's versions."""
        return _answer([one.number for one in await self._versions(principal, request)])

    async def register(self, principal: Principal, request: Request) -> Response:
        """Registers a schema under a subject; the id of the one that says the same where there is one."""
        format, text = await _schema(request)
        made = await self._schemas.register(principal, _event_type(request), None, format, text)
        return _answer({"id": made.definition_id})

    async def look_up(self, principal: Principal, request: Request) -> Response:
        """Which of a subject's versions says the same as a schema."""
        format, text = await _schema(request)
        older = await self._versions(principal, request)
        same = await self._schemas.same(format, text, older)
        if same is None:
            raise _Refusal(40403, "Schema not found")
        return _answer(_shown(same, request))

    async def version(self, principal: Principal, request: Request) -> Response:
        """One version of a subject."""
        return _answer(_shown(await self._version(principal, request), request))

    async def version_text(self, principal: Principal, request: Request) -> Response:
        """One version's schema, and nothing around it."""
        return _plain(_text((await self._version(principal, request)).definition, request))

    async def schema_types(self, _principal: Principal, _request: Request) -> Response:
        """The formats that are understood."""
        return _answer(list(_FORMATS))

    async def by_id(self, principal: Principal, request: Request) -> Response:
        """The schema of an id, as it stands in records."""
        definition = await self._definition(principal, request)
        return _answer({"schema": _text(definition, request), **_type(definition)})

    async def text_by_id(self, principal: Principal, request: Request) -> Response:
        """The schema of an id, and nothing around it."""
        return _plain(_text(await self._definition(principal, request), request))

    async def subjects_of(self, principal: Principal, request: Request) -> Response:
        """The subjects that have the schema of an id."""
        return _answer(list(dict.fromkeys(name for name, _ in await self._uses(principal, request))))

    async def versions_of(self, principal: Principal, request: Request) -> Response:
        """The subjects that have the schema of an id, and as which version."""
        return _answer([{"subject": name, "version": number} for name, number in await self._uses(principal, request)])

    async def check(self, principal: Principal, request: Request) -> Response:
        """Whether a schema could be registered; compared as the subject's level says, or with one version only."""
        format, text = await _schema(request)
        against: tuple[int, ...] = ()
        if "version" in request.path_params:
            against = ((await self._version(principal, request)).number,)
        problems = await self._schemas.check(principal, _event_type(request), format, text, against=against)
        answer: dict[str, Any] = {"is_compatible": not problems}
        if request.query_params.get("verbose", "").lower() == "true":
            answer["messages"] = [
                f"{{errorType:'{one.rule}', path:'{one.path}', version:'{one.against_version}',"
                f" description:'{one.message}'}}"
                for one in problems
            ]
        return _answer(answer)

    async def config(self, principal: Principal, request: Request) -> Response:
        """The level of a subject, or the tenant's default."""
        if "subject" not in request.path_params:
            default = await self._schemas.level(principal, None)
            return _answer({"compatibilityLevel": default})
        level = await self._schemas.level(principal, _event_type(request))
        if level is None and request.query_params.get("defaultToGlobal", "").lower() == "true":
            level = await self._schemas.level(principal, None)
        if level is None:
            raise _Refusal(
                40408,
                f"Subject '{request.path_params['subject']}' does not have subject-level compatibility configured",
            )
        return _answer({"compatibilityLevel": level})

    async def set_config(self, principal: Principal, request: Request) -> Response:
        """Sets the level of a subject, or the tenant's default."""
        said = decoded(_config_decoder, await read_json(request, _MAX_BODY), "the config").compatibility
        try:
            level = Compatibility((said or "").upper())
        except ValueError:
            known = ", ".join(level.lower() for level in Compatibility)
            raise _Refusal(42203, f"Invalid compatibility level. Valid values are {known}") from None
        named = _event_type(request) if "subject" in request.path_params else None
        await self._schemas.set_level(principal, named, level)
        return _answer({"compatibility": level})

    async def clear_config(self, principal: Principal, request: Request) -> Response:
        """A subject goes by the tenant's default again."""
        before = await self._schemas.level(principal, _event_type(request))
        await self._schemas.set_level(principal, _event_type(request), None)
        return _answer({"compatibilityLevel": before})

    async def mode(self, _principal: Principal, _request: Request) -> Response:
        """Always READWRITE."""
        return _answer({"mode": "READWRITE"})

    async def _versions(self, principal: Principal, request: Request) -> list[SchemaVersion]:
        found = await self._schemas.of_type(principal, _event_type(request))
        if not found:
            raise _Refusal(40401, f"Subject '{request.path_params['subject']}' not found.")
        return found

    async def _version(self, principal: Principal, request: Request) -> SchemaVersion:
        said = request.path_params["version"]
        if said not in ("latest", "-1") and not (said.isdecimal() and 0 < int(said[:20]) < 2**31):
            raise _Refusal(
                42202,
                f"The specified version '{said}' is not a valid version id. Allowed values are between"
                ' [1, 2^31-1] and the string "latest"',
            )
        found = await self._versions(principal, request)
        if said in ("latest", "-1"):
            return found[-1]
        for one in found:
            if one.number == int(said):
                return one
        raise _Refusal(40402, f"Version {said} not found.")

    async def _definition(self, principal: Principal, request: Request) -> Definition:
        found = await self._schemas.definition(principal, _id(request))
        if found is None:
            raise _Refusal(40403, f"Schema {request.path_params['id']} not found")
        return found

    async def _uses(self, principal: Principal, request: Request) -> list[tuple[str, int]]:
        found = await self._schemas.uses(principal, _id(request))
        if not found:
            raise _Refusal(40403, f"Schema {request.path_params['id']} not found")
        return found


def _event_type(request: Request) -> str:
    return str(request.path_params["subject"]).removesuffix(_SUFFIX)


def _id(request: Request) -> int:
    said = request.path_params["id"]
    if not said.isdecimal() or int(said[:20]) >= 2**31:
        raise _Refusal(40403, f"Schema {said[:40]} not found")
    return int(said)


async def _schema(request: Request) -> tuple[SchemaFormat, str]:
    said = decoded(_schema_decoder, await read_json(request, _MAX_BODY), "the schema")
    format = _FORMATS.get(said.schema_type or "AVRO")
    if format is None:
        raise _Refusal(42201, f"Invalid schema type {said.schema_type}; known are {', '.join(_FORMATS)}")
    if said.references:
        raise _Refusal(42201, "references to other subjects are not supported: the schema must hold all it needs")
    return format, said.schema


def _shown(one: SchemaVersion, request: Request) -> dict[str, Any]:
    return {
        "subject": request.path_params["subject"],
        "version": one.number,
        "id": one.definition_id,
        **_type(one.definition),
        "schema": _text(one.definition, request),
    }


def _type(definition: Definition) -> dict[str, str]:
    """AVRO is the one that is not said."""
    return {} if definition.format is SchemaFormat.AVRO else {"schemaType": _NAMES[definition.format]}


def _text(definition: Definition, request: Request) -> str:
    """As it was registered; `format=serialized` asks for Protobuf as a descriptor in base 64."""
    if definition.compiled is None or request.query_params.get("format") != "serialized":
        return definition.text
    return base64.b64encode(canonical(main_file(definition.compiled))).decode()


def _in_its_words(endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    async def answering(request: Request) -> Response:
        try:
            return await endpoint(Request(_with_bearer(request.scope), request.receive))
        except EsbError as error:
            return _refused(error)

    return answering


def _refused(error: EsbError) -> Response:
    if isinstance(error, _Refusal):
        number, status = error.number, int(str(error.number)[:3])
    elif isinstance(error, HttpRefusal):
        number = status = error.status
    else:
        number = _CODES.get(error.code, status_of(error))
        status = int(str(number)[:3]) if error.code in _CODES else number
    if status >= 500:
        _log.warning("request refused", code=error.code.value, reason=error.message)
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return _answer({"error_code": number, "message": error.message}, status, headers)


def _with_bearer(scope: Any) -> Any:
    """The request with the password of Basic credentials as its Bearer token: many clients know no other way."""
    headers = []
    for name, value in scope["headers"]:
        if name == b"authorization" and value[:6].lower() == b"basic ":
            value = b"Bearer " + _password(value[6:])
        headers.append((name, value))
    return {**scope, "headers": headers}


def _password(said: bytes) -> bytes:
    try:
        return base64.b64decode(said.strip(), validate=True).partition(b":")[2]
    except binascii.Error:
        return b""


def _plain(text: str) -> Response:
    return Response(text, media_type=MEDIA_TYPE)


def _answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(_encoder.encode(body), status, headers, MEDIA_TYPE)
