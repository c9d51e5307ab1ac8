"""Every test is in at least one of the two runs, and none is in the wrong one."""

import pytest

pytest_plugins = ["pytester"]

CONFTEST = """
import pytest
from tests.services.selection import split

def pytest_configure(config):
    config.addinivalue_line("markers", "needs(*fixtures): x")
    config.addinivalue_line("markers", "embedded_only: x")

def pytest_collection_modifyitems(config, items):
    items[:], others = split(items, external=config.getoption("--external"))
    config.hook.pytest_deselected(items=others)

def pytest_addoption(parser):
    parser.addoption("--external", action="store_true")

@pytest.fixture
def database_url(): return "x"

@pytest.fixture
def migrated(database_url): return database_url

@pytest.fixture
def redis_url(): return "x"
"""

TESTS = """
import pytest

def test_pure(): pass
def test_database(database_url): pass
def test_database_through_another_fixture(migrated): pass
def test_redis(redis_url): pass

@pytest.mark.parametrize("engine", ["memory", pytest.param("redis", marks=pytest.mark.needs("redis_url"))])
def test_engine(engine): pass

@pytest.mark.embedded_only
def test_of_the_embedded_one(database_url): pass
"""

FAULTS = """
import pytest

def test_outside(): pass

@pytest.mark.embedded_only
def test_inside(): pass
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_some=TESTS)
    pytester.mkdir("faults").joinpath("test_faults.py").write_text(FAULTS)
    return pytester


def chosen(project: pytest.Pytester, *arguments: str) -> set[str]:
    result = project.runpytest_inprocess("--collect-only", "-q", *arguments)
    return {line.split("::")[1] for line in result.outlines if "::" in line}


def test_the_embedded_run_has_all_but_kafka_redis_and_external_faults(project: pytest.Pytester) -> None:
    assert chosen(project) == {
        "test_pure",
        "test_database",
        "test_database_through_another_fixture",
        "test_engine[memory]",
        "test_of_the_embedded_one",
        "test_inside",
    }


def test_the_external_run_has_what_touches_a_service(project: pytest.Pytester) -> None:
    assert chosen(project, "--external") == {
        "test_database",
        "test_database_through_another_fixture",
        "test_redis",
        "test_engine[redis]",
        "test_outside",
    }
