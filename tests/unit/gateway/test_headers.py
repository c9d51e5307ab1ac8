"""Headers by hash say what Starlette's say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from gateway.headers import IndexedHeaders

names = st.sampled_from(["accept", "authorization", "x-request-id", "x-none"])
raw = st.lists(st.tuples(names.map(str.encode), st.binary(max_size=4)), max_size=6)


@given(raw, names, st.sampled_from([str.lower, str.upper, str.title]))
def test_they_agree_with_starlettes_also_where_a_name_comes_twice(listed, name, spelled):
    ours, theirs = IndexedHeaders({"headers": listed}), Headers(raw=listed)
    asked = spelled(name)
    assert ours.get(asked) == theirs.get(asked)
    assert ours.get(asked, "-") == theirs.get(asked, "-")
    assert (asked in ours) is (asked in theirs)
    assert ours.items() == theirs.items()
    if asked in theirs:
        assert ours[asked] == theirs[asked]
    else:
        with pytest.raises(KeyError):
            ours[asked]
