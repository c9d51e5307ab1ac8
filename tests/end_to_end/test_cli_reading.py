"""`esb tail`, `events`, `streams`, `route explain`: what a user sees of a running gateway."""

import json
import signal
from collections.abc import Callable

import pytest

from tests.end_to_end.api import Api, issue
from tests.end_to_end.shell import Shell, read_json
from tests.services.gateway import GatewayProcess


def publish(api: Api, *numbers: int) -> None:
    for number in numbers:
        api.publish(payload={"n": number}, aggregate_type="User", aggregate_id=f"u{number % 2}")


def numbers(lines: list[dict[str, dict[str, int]]]) -> list[int]:
    return [line["payload"]["n"] for line in lines]


def test_events_are_filtered_counted_and_turned_round(api: Api, shell: Shell) -> None:
    publish(api, *range(6))
    api.publish("user.other.thing", {"n": 100})
    asked = [
        ((), [0, 1, 2, 3, 4, 5, 100]),
        (("-n", "2"), [0, 1]),
        (("-n", "2", "--newest"), [100, 5]),
        (("--type", "user.*"), [0, 1, 2, 3, 4, 5]),
        (("--type", "user.seen", "--aggregate", "u1"), [1, 3, 5]),
        (("-e", "event.payload.n > 3", "--type", "user.seen"), [4, 5]),
        (("--where", '{"payload":[{"path":"n","lt":2}]}'), [0, 1]),
    ]
    for arguments, expected in asked:
        assert numbers(shell("events", "--json", *arguments).lines) == expected, arguments
    (line,) = shell("events", "-n", "1").out.splitlines()
    assert all(part in line for part in ("user.seen", "User/u0 #1", '{"n":0}'))


def test_streams_are_listed(api: Api, shell: Shell) -> None:
    publish(api, 1)
    (stream,) = shell("streams", "--json").lines
    assert (stream["streamName"], stream["eventCount"], stream["eventPatterns"]) == ("user-events", 1, ["user.**"])
    assert "user-events" in shell("streams").out


def test_the_route_of_an_event_is_explained(shell: Shell) -> None:
    (said,) = shell("route", "explain", "user.created", "--json").lines
    assert (said["stream"]["streamName"], "user.**" in said["why"]) == ("user-events", True)
    refused = shell.run("route", "explain", "nowhere.to")
    assert (refused.code, refused.err.split(":")[0]) == (1, "UNKNOWN_STREAM")


@pytest.mark.embedded_only
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("events -e (", 1, "BAD_INPUT: where.and[0].expression"),
        ("events --where {", 2, "not JSON"),
        ("events --where []", 1, "BAD_INPUT"),
        ("events -s nope", 1, "UNKNOWN_STREAM: there is no stream 'nope'"),
        ("events -n 0", 2, "Invalid value for '--count'"),
        ("tail --cursor nope", 1, "CURSOR_INVALID"),
        ("tail --since yesterday", 1, "BAD_INPUT"),
        ("tail --url nonsense", 1, "BAD_INPUT: --url looks like http://"),
        ("tail --token x.y.z", 1, "UNAUTHENTICATED"),
        ("tail --from middle", 2, "Invalid value for '--from'"),
        ("nonsense", 2, "No such command 'nonsense'"),
    ],
)
def test_what_cannot_be_asked_is_one_line(shell: Shell, arguments: str, code: int, said: str) -> None:
    done = shell.run(*arguments.split())
    assert (done.code, said in done.err) == (code, True), done
    assert code == 2 or len(done.err.splitlines()) == 1, done.err


def test_tail_follows_a_filter_from_a_cursor(api: Api, shell: Shell) -> None:
    publish(api, 0, 1, 2)
    cursor = shell("events", "--json", "-n", "1").lines[0]["cursor"]
    with shell.started("tail", "--json", "--cursor", cursor, "-e", "event.payload.n != 2", "--count", "3") as child:
        assert numbers(read_json(child.stdout, 1)) == [1]
        publish(api, 3, 2, 4)
        assert numbers(read_json(child.stdout, 2)) == [3, 4]
        assert child.wait(30) == 0


def test_tail_ends_by_ctrl_c_and_by_its_reader_going_away(api: Api, shell: Shell) -> None:
    publish(api, 1)
    with shell.started("tail", "--json", "--from", "beginning") as child:
        read_json(child.stdout, 1)
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == 130
        assert child.stderr is not None
        assert child.stderr.read() == ""
    with shell.started("tail", "--json", "--from", "beginning") as child:
        read_json(child.stdout, 1)
        assert child.stdout is not None
        child.stdout.close()
        publish(api, 2)
        assert child.wait(30) == 141


def test_tail_goes_on_through_a_killed_gateway(own_gateway: Callable[..., GatewayProcess]) -> None:
    gateway = own_gateway()
    gateway.start()
    api = Api(gateway, "dev")
    api.create_stream()
    shell = Shell(gateway, "dev", issue(gateway, "dev", "reader"))
    with shell.started("tail", "--json", "--from", "beginning") as child:
        publish(api, 0, 1, 2)
        assert numbers(read_json(child.stdout, 3)) == [0, 1, 2]
        for first in (3, 6):
            gateway.kill()
            gateway.start()
            publish(api, first, first + 1, first + 2)
            assert numbers(read_json(child.stdout, 3)) == [first, first + 1, first + 2]
        gateway.stop()
        gateway.start()
        publish(api, 9)
        assert numbers(read_json(child.stdout, 1)) == [9]
    api.close()


@pytest.mark.embedded_only
def test_help_of_every_command_says_what_its_options_default_to(shell: Shell) -> None:
    words = {
        "": ["serve", "token", "publish", "tail", "events", "streams", "demo", "migrate", "doctor", "route", "epoch"],
        "serve": ["127.0.0.1", "8000", ".esb"],
        "tail": ["ESB_URL", "ESB_TOKEN", "one for --tenant"],
        "token": ["admin", "86400"],
    }
    for command, expected in words.items():
        said = shell(*command.split(), "--help").out
        assert [word for word in expected if word not in said] == [], json.dumps(said)
