import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.settings import LogFormat, Settings, SettingsInvalid, load_settings
from schema.principal import Action


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("ESB_"):
            monkeypatch.delenv(name)


def toml(folder: Path, text: str) -> Path:
    file = folder / "esb.toml"
    file.write_text(text)
    return file


def test_a_fresh_machine_needs_no_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    assert (settings.host, settings.port, settings.dev) == ("127.0.0.1", 8000, False)
    assert settings.data_dir == tmp_path / ".esb"
    assert settings.postgres_url is None


def test_arguments_come_before_the_environment_and_that_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = toml(tmp_path, 'host = "file"\nport = 1\nlog_format = "json"\n[limits]\nsend_timeout_s = 3\n')
    monkeypatch.setenv("ESB_PORT", "2")
    monkeypatch.setenv("ESB_HOST", "env")
    settings = load_settings(file, host="argument", port=None)
    assert (settings.host, settings.port, settings.log_format) == ("argument", 2, LogFormat.JSON)
    assert settings.limits.send_timeout_s == 3


def test_the_file_is_also_found_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESB_CONFIG", str(toml(tmp_path, "port = 7\n")))
    assert load_settings().port == 7
    monkeypatch.setenv("ESB_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(SettingsInvalid, match="does not exist"):
        load_settings()


def test_settings_refuse_writes() -> None:
    settings = load_settings()
    with pytest.raises(ValidationError):
        settings.port = 1
    with pytest.raises(ValidationError):
        settings.limits.send_timeout_s = 1


def test_words_roles_and_limits_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESB_ALLOWED_ORIGINS", "https://a.example, https://B.example:8443")
    monkeypatch.setenv("ESB_ROLES", '{"orders": {"read": ["order*"], "publish": ["orders"]}}')
    monkeypatch.setenv("ESB_LIMITS__TICKET_TTL_S", "5")
    settings = load_settings()
    assert settings.allowed_origins == ("https://a.example", "https://b.example:8443")
    assert settings.roles == {"orders": {Action.READ: ("order*",), Action.PUBLISH: ("orders",)}}
    assert settings.limits.ticket_ttl_s == 5


ISSUER = '[[issuers]]\nissuer = "i"\naudience = "esb"\njwks_url = "https://i.example/keys"\n'


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("prot = 1", "prot"),
        ("port = 99999", "port"),
        ("[limits]\nsend_timeout = 1", "limits.send_timeout"),
        ("[roles.admin]\nread = ['*']", "built in"),
        ("[roles.mine]\nfly = ['*']", "roles.mine"),
        ('allowed_origins = ["https://a.example/path"]', "origin"),
        (ISSUER.replace("https", "http"), "jwks_url"),
        (ISSUER + 'algorithms = ["HS256"]\n', "algorithms"),
        (ISSUER + 'algorithms = ["none"]\n', "algorithms"),
        (ISSUER.replace('audience = "esb"\n', ""), "audience"),
        (ISSUER + ISSUER, "twice"),
        ("port = ", "esb.toml"),
    ],
)
def test_what_cannot_be_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(SettingsInvalid, match=named):
        load_settings(toml(tmp_path, text))


def test_secrets_are_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESB_POSTGRES_URL", "postgresql://u:hunter2@db/esb")
    monkeypatch.setenv("ESB_SECRETS__SIGNING_KEY", "hunter2")
    shown = repr(load_settings()) + str(load_settings())
    assert "hunter2" not in shown
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(toml(tmp_path, '[secrets]\nsinging_key = "hunter2"\n'))
    assert "hunter2" not in str(caught.value)


def test_an_issuer_with_all_its_claims(tmp_path: Path) -> None:
    file = toml(tmp_path, ISSUER + 'tenants = ["acme-*"]\n[issuers.claims]\nroles = "realm_access.roles"\n')
    (issuer,) = load_settings(file).issuers
    assert issuer.claims.roles == "realm_access.roles"
    assert issuer.claims.tenant == "tenant"
    assert issuer.speaks_for("acme-1")
    assert not issuer.speaks_for("acme")


def test_the_class_itself_is_not_touched_by_a_file(tmp_path: Path) -> None:
    load_settings(toml(tmp_path, "port = 7\n"))
    assert Settings().port == 8000
