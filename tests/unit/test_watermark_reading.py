"""What a reading may claim, and the bound behind it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from watermark.demodulate import Soft, decode, recognise
from watermark.geometry import Geometry
from watermark.keys import WatermarkKey
from watermark.payload import Payload
from watermark.reading import Reading, nothing
from watermark.registry import Registry
from watermark.tile import derive_pattern

PATTERN = derive_pattern(WatermarkKey(id="k", secret=b"0123456789abcdef"))


def reading(payload: Payload | None, log10_p: float) -> Reading:
    return Reading(
        payload=payload,
        certain=True,
        log10_p=log10_p,
        key_id="k",
        mode="self_contained",
        geometry=Geometry(),
        spans=(),
        frames_read=1,
        pilot_score=9.0,
        algorithm="a",
    )


@pytest.mark.parametrize("log10_p", [-5.9, 0.0, math.nan])
def test_a_reading_that_could_be_chance_is_never_certain(log10_p: float) -> None:
    with pytest.raises(ValueError, match="certain"):
        reading(Payload(clip_id=1), log10_p)


def test_a_certain_reading_needs_a_payload() -> None:
    with pytest.raises(ValueError, match="certain"):
        reading(None, -20.0)


def test_nothing_found_claims_nothing() -> None:
    empty = nothing(algorithm="a", frames_read=3, pilot_score=1.0)
    assert (empty.payload, empty.certain, empty.log10_p, empty.mode) == (None, False, 0, "none")


def test_random_soft_bits_are_never_recognised() -> None:
    rng = np.random.default_rng(1)
    candidates = [Payload(clip_id=int(one)) for one in rng.integers(0, 2**63, 50)]
    for _ in range(40):
        soft = Soft(values=rng.normal(0, 1, PATTERN.signs.size), code_bit=PATTERN.code_bit)
        found = recognise(soft, Registry(candidates))
        assert found is not None
        assert found.log10_p > -2
        assert decode(soft) is None


def test_a_word_too_weak_to_decode_is_recognised_among_candidates() -> None:
    from watermark import code
    from watermark.payload import to_bits

    rng = np.random.default_rng(2)
    candidates = [Payload(clip_id=int(one)) for one in rng.integers(0, 2**63, 50)]
    word = 1.0 - 2.0 * code.encode(to_bits(candidates[17]))[PATTERN.code_bit]
    values = word + rng.normal(0, 3.3, word.size)
    soft = Soft(values=values, code_bit=PATTERN.code_bit)
    assert decode(soft) is None
    found = recognise(soft, Registry(candidates))
    assert found is not None
    assert found.payload == candidates[17]
    assert found.log10_p < -6


def test_soft_bits_of_nothing_at_all_are_not_evidence() -> None:
    soft = Soft(values=np.zeros(PATTERN.signs.size), code_bit=PATTERN.code_bit)
    assert recognise(soft, Registry([Payload(clip_id=1)])) is None
    found = decode(soft)
    assert found is None or found.log10_p == 0.0


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_soft_bits_that_are_no_numbers_are_not_evidence(value: float) -> None:
    soft = Soft(values=np.full(PATTERN.signs.size, value), code_bit=PATTERN.code_bit)
    found = recognise(soft, Registry([Payload(clip_id=1)]))
    assert found is None or found.log10_p == 0.0
    found = decode(soft)
    assert found is None or found.log10_p == 0.0
