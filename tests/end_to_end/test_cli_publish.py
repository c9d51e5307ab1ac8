"""`esb publish`: one event, many lines, the same lines again, lines that are no events."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.api import Api, issue
from tests.end_to_end.shell import Shell
from tests.services.gateway import ESB


def lines(count: int) -> str:
    events = ({"event_type": "user.seen", "payload": {"n": n, "note": "x" * 200}} for n in range(count))
    return "".join(json.dumps(event) + "\n" for event in events)


def numbers(api: Api) -> list[int]:
    return [event["payload"]["n"] for event in api.events()]


def test_one_event_answers_its_receipt(shell: Shell) -> None:
    said = ("publish", "user.created", '{"name":"john"}', "--aggregate-type", "User", "--aggregate-id", "u1")
    (receipt,) = shell(*said, "--expected-sequence", "0").lines
    assert (receipt["stream"], receipt["position"], receipt["sequenceNumber"]) == ("user-events", 1, 1)
    again = shell.run(*said, "--expected-sequence", "0")
    assert (again.code, again.err.split(":")[0]) == (1, "SEQUENCE_CONFLICT")


def test_one_event_of_a_given_id_twice_is_one_event(shell: Shell) -> None:
    said = ("publish", "user.created", "--event-id", "evt_01J2X3Y4Z5A6B7C8D9E0F1G2H3")
    first, second = (shell(*said).lines[0] for _ in range(2))
    assert (first["duplicate"], second["duplicate"]) == (False, True)
    assert first["position"] == second["position"]


def test_lines_twice_are_there_once(api: Api, shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_text(lines(2500))
    (first,) = shell("publish", "--file", str(file), "--json").lines
    assert first == {"published": 2500, "duplicates": 0, "rejected": []}
    (second,) = shell("publish", "--file", "-", "--json", stdin=file.read_text()).lines
    assert second == {"published": 0, "duplicates": 2500, "rejected": []}
    assert numbers(api) == list(range(2500))


def test_lines_that_are_no_events_are_named_and_keep_no_other_back(api: Api, shell: Shell) -> None:
    text = lines(1) + '{"event_type":"no spaces","payload":1}\n\n{oops\n[]\n' + lines(2).splitlines()[1] + "\n"
    done = shell.run("publish", "--file", "-", "--json", stdin=text)
    (summary,) = done.lines
    assert done.code == 1
    assert [(number, code) for number, code, _ in summary["rejected"]] == [(n, "BAD_INPUT") for n in (2, 4, 5)]
    assert "line 4: BAD_INPUT: not JSON" in done.err
    assert numbers(api) == [0, 1]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_killed_in_the_middle_and_run_again(api: Api, shell: Shell, number: signal.Signals) -> None:
    text = lines(6000)
    child = subprocess.Popen(
        [str(ESB), "publish", "--file", "-"],
        env=shell.environment,
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert child.stdin is not None
    child.stdin.write(text[: len(text) // 2])
    child.stdin.flush()
    while not numbers(api):  # it has begun; the rest of its input never comes
        assert child.poll() is None
    child.send_signal(number)
    child.wait(30)
    child.stdin.close()
    (summary,) = shell("publish", "--file", "-", "--json", stdin=text).lines
    assert summary["duplicates"] > 0
    assert summary["published"] + summary["duplicates"] == 6000
    assert numbers(api) == list(range(6000))


REFUSED: list[tuple[str, int, str]] = [
    ("user.created {oops", 2, "not JSON"),
    ("", 2, "give an event type"),
    ("user.created --file x", 2, "give an event type"),
    ("--file x --stream user-events", 2, "say everything"),
    ("--file /nowhere/at/all", 1, "/nowhere/at/all cannot be read: No such file or directory"),
    ("other.created", 1, "UNKNOWN_STREAM: no stream takes 'other.created'"),
    ("user.created --stream nope", 1, "UNKNOWN_STREAM: there is no stream 'nope'"),
    ("user.created --event-id evt_1", 1, "BAD_INPUT: event_id must be"),
    ("user.created --url nonsense", 1, "BAD_INPUT: --url looks like http://"),
    ("user.created --url http://127.0.0.1:1", 1, "is `esb serve` running there?"),
    ("user.created --token ü", 1, "UNAUTHENTICATED: the token is not one"),
    ("user.created --token abc", 1, "UNAUTHENTICATED: the token is refused"),
]


@pytest.mark.embedded_only
def test_what_cannot_be_done_is_one_line(shell: Shell) -> None:
    for arguments, code, said in REFUSED:
        done = shell.run("publish", *arguments.split())
        assert (done.code, said in done.err) == (code, True), done
        assert code == 2 or len(done.err.splitlines()) == 1, done.err


def test_a_reader_may_not_publish(api: Api) -> None:
    reader = Shell(api.gateway, api.tenant, issue(api.gateway, api.tenant, "reader"))
    done = reader.run("publish", "user.created")
    assert (done.code, done.err.split(":")[0]) == (1, "FORBIDDEN")


def test_without_a_token_one_is_made_from_the_data_folder(api: Api) -> None:
    (receipt,) = Shell(api.gateway, api.tenant, None)("publish", "user.created").lines
    assert receipt["position"] == 1


@pytest.mark.embedded_only
def test_without_a_token_and_a_gateway_none_is_made(api: Api, tmp_path: Path) -> None:
    done = Shell(api.gateway, api.tenant, None).run("publish", "user.created", "--data-dir", str(tmp_path / "none"))
    assert (done.code, "no gateway runs on the data folder" in done.err) == (1, True)
    assert not (tmp_path / "none").exists()
