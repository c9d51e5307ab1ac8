"""Reducers in Python, from a real installed distribution."""

import sys
from importlib.metadata import EntryPoint, distributions
from pathlib import Path

import pytest

from processors.aggregates.plugins import GROUP, Plugins
from schema.aggregate import AtSequence
from schema.errors import ErrorCode, EsbError
from tests.aggregating import aggregating

CODE = '''
def tally(state, event):
    """Changes its state in place, as careless authors do."""
    state = state or {"seen": [], "types": {}}
    state["seen"].append(event["payload"]["n"])
    kind = event["event_type"]
    state["types"][kind] = state["types"].get(kind, 0) + 1
    event["payload"]["n"] = "spoilt"
    return state

def fragile(state, event):
    return {"inverse": 1 / event["payload"]["n"]}

def endless(state, event):
    return "x" * 2_000_000

def odd(state, event):
    return object()

nothing = 7
'''
POINTS = "\n".join(f"{name} = tiny_reducers:{name}" for name in ("tally", "fragile", "endless", "odd", "nothing"))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plugins:
    """What pip leaves behind for a wheel of one module."""
    info = tmp_path / "tiny_reducers-1.2.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-reducers\nVersion: 1.2.3\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{POINTS}\nbroken = tiny_reducers_gone:x\n")
    (tmp_path / "tiny_reducers.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "tiny_reducers", raising=False)
    assert any(one.metadata["Name"] == "tiny-reducers" for one in distributions(path=[str(tmp_path)]))
    return Plugins.installed()


async def test_a_plug_in_folds_and_its_version_is_part_of_its_snapshots(database_url: str, installed: Plugins) -> None:
    async with aggregating(database_url, installed) as world:
        await world.define(reducers=None, plugin="tally", snapshot_every=4)
        await world.publish("a", range(10))
        async with world.snapshotter():
            while not await world.followed():
                pass
        assert await world.taken("a") == [4, 8]
        for version in range(1, 11):
            found = await world.state("a", AtSequence(version))
            assert found is not None
            assert found.state == {"seen": list(range(version)), "types": {"user.created": version}}
        declared = (await world.types.of(await world.tenants.get(world.principal.tenant), "User")).declaration
        assert world.folds.of(declared).made_by == "1 tally 1.2.3"


@pytest.mark.parametrize(
    ("plugin", "code"),
    [("fragile", ErrorCode.BAD_INPUT), ("odd", ErrorCode.BAD_INPUT), ("endless", ErrorCode.PAYLOAD_TOO_LARGE)],
)
async def test_a_failing_plug_in_names_itself_and_the_event(
    database_url: str, installed: Plugins, plugin: str, code: ErrorCode
) -> None:
    async with aggregating(database_url, installed) as world:
        await world.define(reducers=None, plugin=plugin)
        await world.publish("a", [0])
        with pytest.raises(EsbError) as caught:
            await world.state("a")
        assert caught.value.code is code
        assert plugin in caught.value.message
        assert "evt_" in caught.value.message


@pytest.mark.parametrize("name", ["missing", "broken", "nothing"])
def test_what_is_not_there_or_no_function_is_refused(installed: Plugins, name: str) -> None:
    with pytest.raises(EsbError) as caught:
        installed.get(name)
    assert caught.value.code is ErrorCode.BAD_INPUT
    assert isinstance(installed._found["tally"], EntryPoint)
