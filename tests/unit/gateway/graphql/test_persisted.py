"""Hashes that stand for documents: bounded, and nobody's flood takes away what others use."""

from gateway.graphql.persisted import PersistedQueries, hash_of


def persisted(*texts: str, max_bytes: int = 100_000) -> PersistedQueries:
    kept = PersistedQueries(max_bytes)
    for text in texts:
        kept.put(hash_of(text), text)
    return kept


def test_a_document_is_found_by_its_hash() -> None:
    kept = persisted("{ a }", "{ b }")
    assert kept.get(hash_of("{ a }")) == "{ a }"
    assert kept.get(hash_of("{ c }")) is None


def test_what_is_asked_for_outlives_any_number_of_new_ones() -> None:
    kept = persisted("{ a }", "{ b }")
    assert kept.get(hash_of("{ a }")) == "{ a }"
    for number in range(1000):
        kept.put(hash_of(f"{{ f{number} }}"), f"{{ f{number} }}")
    assert kept.get(hash_of("{ a }")) == "{ a }"
    assert kept.get(hash_of("{ b }")) is None
    assert len(kept) < 300


def test_the_memory_is_bounded_by_what_texts_take() -> None:
    kept = persisted(*[f"{{ f{number} }}" + " " * 5000 for number in range(50)])
    assert len(kept) == 4
    for number in range(46, 50):
        assert kept.get(hash_of(f"{{ f{number} }}" + " " * 5000)) is not None
    kept.put("wide", "é" * 10_000)
    assert kept.get("wide") is None, "four bytes a character are too many for the quarter"


def test_the_used_ones_push_out_the_least_recently_used() -> None:
    texts = [f"{{ f{number} }}" + " " * 5000 for number in range(30)]
    kept = PersistedQueries(100_000)
    for text in texts:
        kept.put(hash_of(text), text)
        kept.get(hash_of(text))
    assert kept.get(hash_of(texts[0])) is None
    assert kept.get(hash_of(texts[-1])) == texts[-1]


def test_the_same_again_takes_no_more_room() -> None:
    kept = persisted(*["{ a }"] * 1000, "{ b }")
    assert len(kept) == 2
    kept.get(hash_of("{ a }"))
    kept.put(hash_of("{ a }"), "{ a }")
    assert len(kept) == 2
