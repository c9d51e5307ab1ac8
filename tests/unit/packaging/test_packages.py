"""Our five top-level packages have everyday names, and an index has a package for some of them: one that is installed
later overwrites ours without a word."""

from importlib.metadata import packages_distributions

import pytest


@pytest.mark.parametrize("package", ["gateway", "processors", "resolvers", "schema", "store"])
def test_no_other_distribution_owns_the_package(package: str) -> None:
    assert set(packages_distributions().get(package, [])) <= {"event-streaming-bus"}


@pytest.mark.parametrize("package", ["gateway", "processors", "resolvers", "schema", "store"])
def test_the_package_is_the_one_of_this_checkout(package: str, pytestconfig: pytest.Config) -> None:
    module = __import__(package)
    assert module.__file__ is not None
    assert module.__file__.startswith(str(pytestconfig.rootpath))
