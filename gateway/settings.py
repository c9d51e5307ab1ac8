"""What an installation can choose: read once at the start, from arguments, `ESB_*` and one TOML file, in that order.

Nested names are written with two underscores: `ESB_LIMITS__SEND_TIMEOUT_S=20`, `ESB_SECRETS__SIGNING_KEY=…`. Lists
of words are written `a, b` in the environment; tables and lists of tables as JSON.
"""

import os
from collections.abc import Mapping
from enum import StrEnum
from fnmatch import fnmatchcase
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from schema.principal import Action

BUILT_IN_ROLES = ("admin", "publisher", "reader")

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA"]


class SettingsInvalid(Exception):
    """What is configured cannot be used; each line of the message names a setting and says why."""


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be reached from this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _words(text: Any) -> Any:
    """Lists of plain words may be written `a, b` in the environment."""
    return tuple(word.strip() for word in text.split(",") if word.strip()) if isinstance(text, str) else text


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]


def _web_origin(text: str) -> str:
    parts = urlsplit(text)
    if text != "*" and (parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query):
        raise ValueError("an origin looks like https://app.example.com, without a path; or is *")
    return text.lower()


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ClaimNames(_Frozen):
    """Which claims of an issuer's tokens say what; a dotted name walks into nested claims (`realm_access.roles`)."""

    tenant: str = "tenant"
    subject: str = "sub"
    roles: str = "roles"
    client: str = "client_id"


class IssuerSettings(_Frozen):
    """An identity provider whose tokens are accepted.

    `issuer`: the exact `iss` claim. `audience`: what its tokens must be meant for, so that a token for another service
    opens nothing here. `tenants`: patterns of the tenants it may speak for. Only asymmetric algorithms: with a shared
    secret every verifier could sign.
    """

    issuer: str = Field(min_length=1)
    jwks_url: str
    audience: str = Field(min_length=1)
    algorithms: tuple[Algorithm, ...] = Field(default=("RS256", "ES256", "Ed25519"), min_length=1)
    tenants: tuple[str, ...] = ("*",)
    claims: ClaimNames = ClaimNames()

    @field_validator("jwks_url")
    @classmethod
    def _fetched_safely(cls, url: str) -> str:
        """Keys fetched in the clear could be anybody's."""
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
            raise ValueError("jwks_url must be https (http on loopback only)")
        return url

    def speaks_for(self, tenant: str) -> bool:
        """Whether this issuer's tokens may name the tenant."""
        return any(fnmatchcase(tenant, pattern) for pattern in self.tenants)


class Secrets(_Frozen):
    """Keys that replace those kept in PostgreSQL, base64url; every gateway of an installation needs the same ones."""

    cursor_key: SecretStr | None = None
    content_hash_key: SecretStr | None = None
    signing_key: SecretStr | None = None


class Limits(_Frozen):
    """The named limits of a process. Names end in their unit."""

    drain_timeout_s: float = Field(default=10, gt=0, description="how long requests in flight may take after SIGTERM")
    send_timeout_s: float = Field(
        default=10, gt=0, description="a socket that cannot be written to for so long is closed"
    )
    ping_interval_s: float = Field(default=20, gt=0, description="between two pings of a WebSocket")
    ticket_ttl_s: float = Field(default=30, gt=0, le=300, description="how long a browser's ticket may be redeemed")
    tickets_per_tenant: int = Field(default=1000, gt=0, description="unredeemed tickets of a tenant")
    token_life_s: float = Field(
        default=10 * 365 * 86400,
        gt=0,
        le=10 * 365 * 86400,
        description="how long a token may still have to live; revocations are remembered as long",
    )
    revocations_per_tenant: int = Field(
        default=10_000, gt=0, description="revocations a tenant may have at once, of tokens, of subjects, of clients"
    )
    token_cache_entries: int = Field(default=4096, gt=0, description="verified tokens kept")
    sockets: int = Field(default=20_000, gt=0, description="open connections; more are refused with 503")
    websocket_message_bytes: int = Field(default=9 * 1024 * 1024, gt=0, description="one message from a client")
    subscription_buffer_bytes: int = Field(
        default=1024 * 1024, gt=0, description="what waits for a slow live subscription"
    )
    subscriptions_per_tenant: int = Field(
        default=10_000, gt=0, description="live subscriptions of a tenant in this process"
    )
    subscriptions_per_connection: int = Field(default=200, gt=0, description="live subscriptions on one socket")


class LogFormat(StrEnum):
    """How log lines look."""

    CONSOLE = "console"
    JSON = "json"


class TrustMode(StrEnum):
    """What happens to GraphQL documents that are not listed as trusted."""

    STRICT = "strict"
    PERMISSIVE = "permissive"


class Settings(BaseSettings):
    """Everything an installation can set. Frozen: writing to it raises."""

    model_config = SettingsConfigDict(
        env_prefix="ESB_", env_nested_delimiter="__", frozen=True, extra="forbid", hide_input_in_errors=True
    )
    _toml: ClassVar[Path | None] = None

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    workers: int = Field(default=1, ge=1, le=64, description="processes that serve the port as one")
    data_dir: Annotated[Path, AfterValidator(lambda path: path.expanduser().absolute())] = Field(
        default=Path(".esb"), validate_default=True, description="where the embedded PostgreSQL rests"
    )
    dev: bool = False
    dev_tenant: str = Field(
        default="dev", pattern=r"^[a-z0-9_-]{1,64}$", description="tenant of GraphiQL's development token"
    )

    postgres_url: str | None = Field(default=None, repr=False)
    postgres_reader_role: str = Field(default="esb_reader", pattern=r"^[a-z_][a-z0-9_]{0,62}$")
    kafka_servers: str | None = None
    redis_url: str | None = Field(default=None, repr=False)

    issuers: tuple[IssuerSettings, ...] = ()
    local_tokens: bool = Field(default=True, description="whether tokens made by `esb token` are accepted")
    roles: Mapping[str, Mapping[Action, tuple[str, ...]]] = Field(
        default={}, description="own roles: name → action → patterns of stream names"
    )
    allowed_origins: Annotated[Words, AfterValidator(lambda texts: tuple(map(_web_origin, texts)))] = Field(
        default=(), description="web pages of other origins that may call; a page of the same origin always may"
    )
    hosts: Words = Field(default=("*",), description="Host headers that are answered; *.example.com is understood")
    proxies: Words = Field(default=(), description="addresses of proxies whose X-Forwarded-* headers are believed")

    trusted_documents: Path | None = Field(
        default=None, description="manifest of the GraphQL documents that clients were built with"
    )
    trusted_documents_mode: TrustMode = Field(
        default=TrustMode.STRICT, description="strict: no other document is run; permissive: others are told in the log"
    )

    limits: Limits = Limits()
    secrets: Secrets = Secrets()
    log_format: LogFormat = LogFormat.CONSOLE
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    otel_endpoint: str | None = Field(default=None, description="OTLP over HTTP, e.g. http://127.0.0.1:4318")

    @field_validator("roles")
    @classmethod
    def _own_names(cls, roles: Mapping[str, Any]) -> Mapping[str, Any]:
        """A changed built-in role would silently mean something else in every document."""
        taken = sorted(set(roles) & set(BUILT_IN_ROLES))
        if taken:
            raise ValueError(f"{', '.join(taken)} are built in: give own roles other names")
        return roles

    @field_validator("issuers")
    @classmethod
    def _each_once(cls, issuers: tuple[IssuerSettings, ...]) -> tuple[IssuerSettings, ...]:
        if len({issuer.issuer for issuer in issuers}) != len(issuers):
            raise ValueError("an issuer stands here twice")
        return issuers

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments over environment over file; no hidden .env."""
        if cls._toml is None:
            return init_settings, env_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=cls._toml)


def load_settings(config: Path | None = None, **arguments: Any) -> Settings:
    """The settings of this process. `config`: a TOML file, else what ESB_CONFIG names. Arguments that are None are left
    out. Raises SettingsInvalid, which shows no value, since values may be secrets.
    """
    file = config or (Path(os.environ["ESB_CONFIG"]) if os.environ.get("ESB_CONFIG") else None)
    if file is not None and not file.is_file():
        raise SettingsInvalid(f"the configuration file {file} does not exist")
    given = {name: value for name, value in arguments.items() if value is not None}
    sourced = type("Settings", (Settings,), {"_toml": file, "__doc__": Settings.__doc__})
    try:
        settings: Settings = sourced(**given)
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, fault['loc']))}: "
            + ("there is no such setting" if fault["type"] == "extra_forbidden" else fault["msg"])
            for fault in error.errors(include_input=False)
        ]
        raise SettingsInvalid("\n".join(lines)) from None
    except (SettingsError, ValueError) as error:
        raise SettingsInvalid(f"{file or 'environment'}: {error}") from None
    return settings
