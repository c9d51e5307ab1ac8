"""`esb serve`, `token`, `migrate`, `doctor`, `epoch bump`: what an operator types, also when something is wrong."""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.api import Api
from tests.end_to_end.refusals import problem
from tests.end_to_end.shell import Ran, Shell, ran
from tests.services.gateway import GatewayProcess

NOWHERE = "postgresql://esb@127.0.0.1:1/esb"


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield int(holder.getsockname()[1])


def alone(*arguments: str, **settings: str) -> Ran:
    """A command on a machine where nothing is configured but `settings`."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("ESB_")}
    return ran(*arguments, environment={**bare, "COLUMNS": "200", "NO_COLOR": "1", **settings})


# ---- serve


def test_serve_says_in_a_line_why_it_cannot(tmp_path: Path) -> None:
    folder, file = tmp_path / "data", tmp_path / "a file"
    file.touch()
    with taken_port() as port:
        done = alone("serve", "--port", str(port), "--data-dir", str(folder))
        assert (done.code, "Address already in use" in done.err, folder.exists()) == (1, True, False)
    for arguments, settings, said in (
        (("--data-dir", str(file)), {}, "cannot be used: File exists"),
        (("--data-dir", "/proc/none"), {}, "cannot be used: No such file or directory"),
        (("--host", "256.1.1.1"), {}, "cannot listen"),
        ((), {"ESB_POSTGRES_URL": "nonsense"}, "invalid DSN"),
    ):
        done = alone("serve", "--port", "0", *arguments, **settings)
        assert (done.code, said in done.err, len(done.err.splitlines())) == (1, True, 1), done


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("port = = 3", "Invalid value (at line 1"),
        ("prt = 3", "prt: there is no such setting"),
        ("port = 99999", "port: Input should be less than or equal to 65535"),
        ("[limits]\nsockets = 'x'", "limits.sockets: Input should be a valid integer"),
        ("[limits]\nsoccets = 1", "limits.soccets: there is no such setting"),
        ("[[issuers]]\nissuer = 'x'\naudience = 'x'", "issuers.0.jwks_url: Field required"),
        ("[roles.admin]\nread = ['*']", "admin are built in"),
        (None, "does not exist"),
    ],
)
def test_serve_names_the_setting_that_cannot_be(tmp_path: Path, text: str | None, said: str) -> None:
    config = tmp_path / "esb.toml"
    if text is not None:
        config.write_text(text)
    done = alone("serve", "--config", str(config))
    assert (done.code, said in done.err, len(done.err.splitlines())) == (2, True, 1), done


# ---- token


def test_a_token_opens_what_its_role_may(api: Api, shell: Shell) -> None:
    said = ("token", "--tenant", api.tenant, "--role", "reader", "--role", "publisher", "--subject", "ann")
    token = shell(*said, "--client", "billing").out.strip()
    headers = {"authorization": f"Bearer {token}"}
    event = {"event_type": "user.x", "payload": 1}
    made = httpx.post(f"{api.gateway.url}/api/v1/events", json=event, headers=headers, timeout=30)
    stored = api.http.get(made.headers["location"]).json()
    assert (stored["user_id"], stored["source_capability"]) == ("ann", "billing")
    refused = httpx.post(f"{api.gateway.url}/api/v1/streams", json={"stream_name": "x"}, headers=headers, timeout=30)
    assert problem(refused) == "FORBIDDEN"


@pytest.mark.embedded_only
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--role nope", "BAD_INPUT: the roles are admin, publisher, reader"),
        ("--tenant UPPER", "BAD_INPUT: a tenant's name is"),
        ("--ttl 0", "BAD_INPUT: the time to live"),
        ("--ttl nan", "BAD_INPUT: the time to live"),
    ],
)
def test_a_token_that_cannot_be_made(shell: Shell, arguments: str, said: str) -> None:
    done = shell.run("token", *arguments.split())
    assert (done.code, done.out, said in done.err) == (1, "", True), done


# ---- revoke


def test_a_revoked_token_opens_nothing_whichever_way_it_comes(api: Api, shell: Shell) -> None:
    token = shell("token", "--tenant", api.tenant).out.strip()
    headers = {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=api.gateway.url, headers=headers, timeout=30) as client:
        ticket = client.post("/api/v1/tickets").raise_for_status().json()["ticket"]
        shell("revoke", "--token", "-", "--reason", "seen in a log", stdin=token + "\n")
        deadline = time.monotonic() + 20
        while client.get("/api/v1/streams").status_code == 200:
            assert time.monotonic() < deadline
        stream = {"accept": "text/event-stream"}
        query = {"query": "subscription { events { position } }"}
        for answer in (
            client.get("/api/v1/streams"),
            client.post("/api/v1/events", json={"event_type": "user.x", "payload": 1}),
            client.post("/api/v1/tickets"),
            client.post("/graphql", json={"query": "{ streams { nodes { id } } }"}),
            client.get("/graphql", params=query, headers=stream),
            httpx.get(api.gateway.url + "/graphql", params=query | {"ticket": ticket}, headers=stream, timeout=30),
        ):
            assert (answer.status_code, "revoked" in answer.text) == (401, True), answer.text


@pytest.mark.embedded_only
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("", 2, "give one of"),
        ("--id a --subject b", 2, "give one of"),
        ("--token abc", 1, "UNAUTHENTICATED: "),
        ("--token eyJhbGciOiJub25lIn0.eyJ0ZW5hbnQiOiJkZXYifQ.", 1, "BAD_INPUT: the token has no id (jti)"),
        ("--subject b --before yesterday", 2, "2026-01-26T10:30:00Z"),
        ("--subject b --before 2226-01-01T00:00:00Z", 1, "BAD_INPUT: `before` may not lie ahead"),
    ],
)
def test_what_cannot_be_revoked(shell: Shell, arguments: str, code: int, said: str) -> None:
    done = shell.run("revoke", *arguments.split())
    assert (done.code, done.out, said in done.err) == (code, "", True), done


# ---- migrate


def test_migrate_twice_and_two_at_once(empty_database_url: str) -> None:
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: alone("migrate", ESB_POSTGRES_URL=empty_database_url), range(2)))
    assert [done.code for done in both] == [0, 0], both
    assert any("schema (none) → " in done.err for done in both)
    again = alone("migrate", ESB_POSTGRES_URL=empty_database_url)
    assert (again.code, "is up to date" in again.err) == (0, True)


def test_migrate_says_in_a_line_that_postgresql_is_not_there() -> None:
    done = alone("migrate", ESB_POSTGRES_URL=NOWHERE)
    assert (done.code, "Connect call failed" in done.err, len(done.err.splitlines())) == (1, True, 1), done


# ---- doctor


def health(done: Ran) -> Mapping[str, str]:
    return {finding["part"]: finding["health"] for finding in done.lines}


def test_doctor_finds_a_running_gateway_well(gateway: GatewayProcess) -> None:
    environment = {**gateway.environment, "ESB_DATA_DIR": str(gateway.data_dir)}
    done = ran("doctor", "--json", "--port", str(gateway.port()), environment=environment)
    services = "ok" if "ESB_KAFKA_SERVERS" in environment else "off"
    well = {
        "python": "ok",
        "workers": "ok",
        "data folder": "ok",
        "postgresql": "ok",
        "kafka": services,
        "redis": services,
    }
    assert (done.code, health(done)) == (0, well | {"gateway": "ok"}), done


def test_doctor_names_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    nothing = alone("doctor", "--json", "--port", "1", "--data-dir", str(tmp_path))
    assert (nothing.code, set(health(nothing).values())) == (0, {"ok", "off"})
    with taken_port() as port:
        wrong = {
            "ESB_POSTGRES_URL": NOWHERE,
            "ESB_KAFKA_SERVERS": "127.0.0.1:1",
            "ESB_REDIS_URL": "redis://127.0.0.1:1",
        }
        done = alone("doctor", "--json", "--port", str(port), "--data-dir", str(tmp_path), **wrong)
        parts = ("postgresql", "kafka", "redis", "gateway")
        assert (done.code, [health(done)[part] for part in parts]) == (1, ["failed"] * 4), done
        assert all(finding["advice"] for finding in done.lines if finding["health"] == "failed")
    table = alone("doctor", "--port", "1", "--data-dir", str(tmp_path))
    assert "`esb serve` starts it" in table.out


# ---- epoch bump


def test_cursors_of_an_epoch_that_ended_are_refused(api: Api, shell: Shell) -> None:
    cursor = api.publish()["cursor"]
    page = api.graphql("{ events(first: 1) { pageInfo { endCursor } } }")["events"]["pageInfo"]["endCursor"]
    done = shell("epoch", "bump", "--tenant", api.tenant)
    assert f"tenant {api.tenant} is in epoch 2" in done.err
    refused = "CURSOR_INVALID: the cursor is refused"
    for _ in range(2):  # the gateway learns of it within two seconds, and never goes back
        while refused not in (tail := shell.run("tail", "--json", "--count", "1", "--cursor", cursor)).err:
            assert tail.code == 1 or json.loads(tail.out), tail
            api.publish()
    after = api.http.get("/api/v1/streams").json()["streams"][0]["stream_id"]
    assert problem(api.http.get(f"/api/v1/streams/{after}/events", params={"after": page})) == "CURSOR_INVALID"
    new = api.publish()["cursor"]
    api.publish("user.next")
    (event,) = shell("tail", "--json", "--count", "1", "--cursor", new).lines
    assert event["eventType"] == "user.next"


def test_no_epoch_of_a_tenant_that_is_none(shell: Shell) -> None:
    done = shell.run("epoch", "bump", "--tenant", "mistyped")
    assert (done.code, done.err.strip()) == (1, "NOT_FOUND: there is no tenant 'mistyped'")


@pytest.mark.embedded_only
def test_token_and_migrate_before_a_gateway_ever_ran(
    own_gateway: Callable[..., GatewayProcess], tmp_path: Path
) -> None:
    folder = str(tmp_path / "own")
    assert "schema (none) → " in alone("migrate", "--data-dir", folder).err
    token = alone("token", "--data-dir", folder).out.strip()
    gateway = own_gateway("own")
    gateway.start()
    answer = httpx.get(f"{gateway.url}/api/v1/streams", headers={"authorization": f"Bearer {token}"}, timeout=30)
    assert answer.json() == {"streams": [], "after": None}
