"""The list of most likely words, of which the checksum picks one."""

from __future__ import annotations

import numpy as np

from watermark import code
from watermark.payload import Payload, from_bits, to_bits

WEAK = 1.9
"""Noise at which a word stands 12 deviations out: some of the time too few to decode."""


def correlations(soft: np.ndarray, answers: list[np.ndarray]) -> np.ndarray:
    return np.asarray((1.0 - 2.0 * code.encode(np.stack(answers))) @ soft)


def noisy(clip_id: int, deviation: float, rng: np.random.Generator) -> np.ndarray:
    word = 1.0 - 2.0 * code.encode(to_bits(Payload(clip_id=clip_id)))
    return np.asarray(word + rng.normal(0, deviation, code.CODE_BITS))


def test_answers_come_best_first_and_each_only_once() -> None:
    rng = np.random.default_rng(1)
    for soft in (rng.normal(0, 1, code.CODE_BITS), noisy(77, WEAK, rng)):
        answers = list(code.ranked(soft, answers=40))
        assert len({one.tobytes() for one in answers}) == 40
        scores = correlations(soft, answers)
        assert np.all(np.diff(scores) <= 1e-3)


def test_the_first_answer_is_the_decoders() -> None:
    rng = np.random.default_rng(2)
    for _ in range(3):
        soft = rng.normal(0, 1, code.CODE_BITS)
        first = next(code.ranked(soft))
        assert np.array_equal(first, code.decode(soft))
        assert first[:8].tolist() == [0, 0, 0, 0, 0, 0, 0, 1]


def test_no_word_near_the_best_one_is_left_out() -> None:
    rng = np.random.default_rng(3)
    soft = noisy(77, WEAK, rng)
    answers = list(code.ranked(soft, answers=32))
    held = {one.tobytes() for one in answers}
    least = correlations(soft, answers).min()
    # Words that differ from a good one in a short burst are what a search could miss.
    for base in answers[:8]:
        for start in range(8, 96):
            for burst in (1, 3, 5, 7, 9):
                other = base.copy()
                width = min(burst.bit_length(), 96 - start)
                flips = [burst >> bit & 1 for bit in range(width)]
                other[start : start + width] ^= np.array(flips, dtype=np.uint8)
                if other.tobytes() not in held:
                    assert correlations(soft, [other])[0] <= least + 1e-3


def test_a_word_that_is_not_the_best_one_is_found_further_down() -> None:
    rng = np.random.default_rng(4)
    first, listed = 0, 0
    for clip_id in range(40):
        answers = [from_bits(one) for one in code.ranked(noisy(clip_id, WEAK, rng))]
        first += answers[0] == Payload(clip_id=clip_id)
        listed += Payload(clip_id=clip_id) in answers
    assert listed > first
    assert first > 0
