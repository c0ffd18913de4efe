"""The ids a database holds, and the one that fits soft bits best."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watermark import code, registry
from watermark.payload import VERSION, Payload, PayloadError, crc24, to_bits
from watermark.registry import Registry

EDGES = (0, 1, 2**63, 2**64 - 1)
ids = st.one_of(st.sampled_from(EDGES), st.integers(0, 2**64 - 1))


def words(clip_ids: list[int]) -> np.ndarray:
    bits = np.stack([to_bits(Payload(clip_id=one)) for one in clip_ids])
    return np.asarray(1.0 - 2.0 * code.encode(bits))


@settings(max_examples=25, deadline=None)
@given(st.lists(ids, min_size=1, max_size=40), st.integers(0, 2**32 - 1))
def test_the_best_payload_is_the_one_whose_word_correlates_most(
    clip_ids: list[int], seed: int
) -> None:
    soft = np.random.default_rng(seed).normal(0, 1, code.CODE_BITS)
    distinct = sorted(set(clip_ids))
    scores = words(distinct) @ soft
    payload, score = Registry(Payload(clip_id=one) for one in clip_ids).best(soft)
    assert payload.clip_id == distinct[int(scores.argmax())]
    assert score == pytest.approx(float(scores.max()), abs=1e-3)


@given(st.lists(ids, max_size=30), ids)
def test_a_registry_is_the_set_of_its_payloads(clip_ids: list[int], other: int) -> None:
    held = Registry(Payload(clip_id=one) for one in clip_ids)
    assert len(held) == len(set(clip_ids))
    assert [one.clip_id for one in held] == sorted(set(clip_ids))
    assert all(Payload(clip_id=one) in held for one in clip_ids)
    assert (Payload(clip_id=other) in held) == (other in clip_ids)


def test_what_is_no_payload_is_not_in_a_registry() -> None:
    held = Registry([Payload(clip_id=7)])
    assert 7 not in held
    assert None not in held
    assert Payload(clip_id=7) not in Registry()


def test_a_registry_is_taken_as_it_is_and_a_list_is_made_into_one() -> None:
    held = Registry([Payload(clip_id=3)])
    assert Registry.of(held) is held
    assert list(Registry.of([Payload(clip_id=3)])) == list(held)


def test_ids_given_as_numbers_make_the_same_registry() -> None:
    clip_ids = [2**64 - 1, 5, 0, 5]
    by_ids = Registry.of_ids(np.array(clip_ids, dtype=np.uint64))
    assert list(by_ids) == list(Registry(Payload(clip_id=one) for one in clip_ids))
    soft = words([2**64 - 1])[0]
    assert by_ids.best(soft) == (Payload(clip_id=2**64 - 1), float(code.CODE_BITS))


def test_ties_go_to_the_smaller_id() -> None:
    held = Registry(Payload(clip_id=one) for one in (900, 4, 2**64 - 1))
    assert held.best(np.zeros(code.CODE_BITS)) == (Payload(clip_id=4), 0.0)


def test_ties_between_blocks_go_to_the_smaller_id() -> None:
    held = Registry.of_ids(np.arange(3, 70_000, dtype=np.uint64))
    assert held.best(np.zeros(code.CODE_BITS)) == (Payload(clip_id=3), 0.0)


def test_an_empty_registry_has_no_best_payload() -> None:
    with pytest.raises(ValueError, match="empty"):
        Registry().best(np.zeros(code.CODE_BITS))


@given(st.lists(ids, min_size=1, max_size=20))
def test_checksums_in_bulk_are_those_of_the_payload(clip_ids: list[int]) -> None:
    held = np.array(clip_ids, dtype=np.uint64)
    bodies = [np.packbits(to_bits(Payload(clip_id=one))).tobytes() for one in clip_ids]
    assert [body[0] for body in bodies] == [VERSION] * len(bodies)
    expected = [crc24(body[:9]) for body in bodies]
    assert registry._checksums(held).tolist() == expected


def test_a_planted_id_is_found_among_two_hundred_thousand() -> None:
    rng = np.random.default_rng(5)
    many = rng.integers(0, 2**64, 200_000, dtype=np.uint64)
    held = Registry.of_ids(np.append(many, np.array([0, 2**64 - 1], dtype=np.uint64)))
    for planted in (int(many[150_000]), 0, 2**64 - 1):
        # 13 standard deviations: below what can be decoded, above what chance gives.
        soft = words([planted])[0] + rng.normal(0, 25.7 / 13, code.CODE_BITS)
        assert held.best(soft)[0].clip_id == planted


def test_ids_are_taken_as_a_database_holds_them() -> None:
    ids = [0, 1, 2**63 + 5, 2**64 - 1]
    texts = [Payload(clip_id=one).hex for one in ids]
    assert list(Registry.of_hex(texts)) == list(Registry(Payload(clip_id=one) for one in ids))
    assert len(Registry.of_hex([])) == 0


@pytest.mark.parametrize("text", ["", "1", "z" * 16, "-" + "1" * 15, "1" * 17, " " * 16])
def test_text_that_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(PayloadError):
        Registry.of_hex(["0" * 16, text])
