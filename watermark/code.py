"""The convolutional code that protects a payload: rate 1/6, constraint length 15.

Zero-terminated, so 96 payload bits and 14 zeros become 660 code bits. The generators are the
deep-space ones (octal 46321, 51271, 70535, 63667, 73277, 76513; Cassini/Mars Pathfinder).
Frozen together with the payload layout.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from watermark.payload import PAYLOAD_BITS, VERSION

MEMORY: Final = 14
GENERATORS: Final = (0o46321, 0o51271, 0o70535, 0o63667, 0o73277, 0o76513)
STEPS: Final = PAYLOAD_BITS + MEMORY
CODE_BITS: Final = STEPS * len(GENERATORS)
_STATES: Final = 1 << MEMORY


def encode(bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Encodes uint8[..., 96] into uint8[..., 660]; the code is linear over GF(2)."""
    product = bits.astype(np.float32) @ _generator_matrix()
    return (product.astype(np.int32) & 1).astype(np.uint8)


def decode(soft: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Finds the most likely uint8[96] for soft code bits float[660]; see `ranked`."""
    return next(ranked(soft, answers=1))


def ranked(soft: NDArray[np.float64], *, answers: int = 16) -> Iterator[NDArray[np.uint8]]:
    """Yields the most likely uint8[96] for soft code bits float[660], best first.

    A positive value votes for 0, a negative one for 1, the size is the confidence (Viterbi,
    maximum likelihood for Gaussian noise), taking the layout version for granted. The
    runners-up come from a search along the trellis with the exact cost to go (Soong and
    Huang, "A tree-trellis based fast search", 1991). Always answers: the checksum judges.
    """
    branch, low, high = _trellis()
    votes = np.asarray(soft, dtype=np.float32).reshape(STEPS, len(GENERATORS))
    metric = np.full(_STATES, -np.inf, dtype=np.float32)
    metric[0] = 0.0
    chosen = np.empty((STEPS, _STATES), dtype=np.bool_)
    loss = np.empty((STEPS, _STATES), dtype=np.float32)
    signs = _signs()
    half = _STATES // 2
    known = np.unpackbits(np.array([VERSION], dtype=np.uint8))
    for step in range(STEPS):
        gain = signs @ votes[step]  # one value for each of the 64 output words
        # State = the last 14 inputs, newest in the top bit: both predecessors of a state
        # share its lower 13 bits, shifted up, and differ in their lowest bit.
        from_low = metric[low]
        from_high = metric[high]
        one = from_low + gain[branch[0]]
        two = from_high + gain[branch[1]]
        np.greater(two, one, out=chosen[step])
        metric = np.maximum(one, two)
        with np.errstate(invalid="ignore"):  # two ways that cannot be: no way to lose
            np.subtract(metric, np.minimum(one, two), out=loss[step])
        # The first bits are the version, the last ones are zeros: no need to guess.
        if step >= PAYLOAD_BITS or (step < known.size and not known[step]):
            metric[half:] = -np.inf
        elif step < known.size:
            metric[:half] = -np.inf
    yield from _paths(chosen, loss, answers)


def _paths(
    chosen: NDArray[np.bool_], loss: NDArray[np.float32], answers: int
) -> Iterator[NDArray[np.uint8]]:
    """Walks back from the end, best path first, then the cheapest detours.

    A heap holds paths known from some step to the end; what is lost against the best path
    so far decides the order, and the way from there to the start is always the best one.
    """
    heap: list[tuple[float, int, int, int, int]] = [(0.0, 0, STEPS, 0, 0)]
    made = 0
    for _ in range(answers):
        if not heap:
            return
        lost, _, step, state, tail = heapq.heappop(heap)
        word = tail
        while step > 0:
            step -= 1
            word |= (state >> (MEMORY - 1)) << step
            best = int(chosen[step, state])
            detour = lost + float(loss[step, state])
            if detour < math.inf:
                made += 1
                other = ((state << 1) & (_STATES - 1)) | (1 - best)
                heapq.heappush(heap, (detour, made, step, other, word))
            state = ((state << 1) & (_STATES - 1)) | best
        yield np.array([word >> step & 1 for step in range(PAYLOAD_BITS)], dtype=np.uint8)


def step_tables(soft: NDArray[np.float64]) -> NDArray[np.float32]:
    """What each content of the encoder's register scores at each step: float32[110, 2**15].

    The register holds the newest bit on top. Adding up the entries along the registers of a
    word gives the correlation of the soft bits float[660] with its code word.
    """
    votes = np.asarray(soft, dtype=np.float32).reshape(STEPS, len(GENERATORS))
    register = np.arange(1 << (MEMORY + 1))
    words = np.zeros(register.size, dtype=np.intp)
    for output, generator in enumerate(GENERATORS):
        words |= (np.bitwise_count(register & generator).astype(np.intp) & 1) << output
    return np.asarray((_signs() @ votes.T).T[:, words])


@cache
def _generator_matrix() -> NDArray[np.float32]:
    matrix = np.zeros((PAYLOAD_BITS, CODE_BITS), dtype=np.float32)
    for delay in range(MEMORY + 1):
        for output, generator in enumerate(GENERATORS):
            if generator >> (MEMORY - delay) & 1:
                for bit in range(PAYLOAD_BITS):
                    matrix[bit, (bit + delay) * len(GENERATORS) + output] = 1
    return matrix


@cache
def _signs() -> NDArray[np.float32]:
    words = np.arange(1 << len(GENERATORS))[:, None]
    return (1 - 2 * (words >> np.arange(len(GENERATORS)) & 1)).astype(np.float32)


@cache
def _trellis() -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    state = np.arange(_STATES)
    low = (state << 1) & (_STATES - 1)
    high = low | 1
    newest = state >> (MEMORY - 1)
    words = np.zeros((2, _STATES), dtype=np.intp)
    for row, previous in enumerate((low, high)):
        register = newest << MEMORY | previous
        for output, generator in enumerate(GENERATORS):
            words[row] |= (np.bitwise_count(register & generator).astype(np.intp) & 1) << output
    return words, low.astype(np.intp), high.astype(np.intp)
