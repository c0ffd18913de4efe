"""The convolutional code that protects a payload: rate 1/6, constraint length 15.

Zero-terminated, so 96 payload bits and 14 zeros become 660 code bits. The generators are the
deep-space ones (octal 46321, 51271, 70535, 63667, 73277, 76513; Cassini/Mars Pathfinder).
Frozen together with the payload layout.
"""

from __future__ import annotations

import heapq
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
_NEVER: Final = np.float32(-1e30)
_FAR: Final = 1e29
"""The metric of a state that cannot be, and what is further away than any that can."""


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
    votes = np.asarray(soft, dtype=np.float32).reshape(STEPS, len(GENERATORS))
    gains = votes @ _signs().T  # one value for each of the 64 output words
    words, half = _words(), _STATES // 2
    metric = np.full(_STATES, _NEVER, dtype=np.float32)
    metric[0] = 0.0
    lead = np.empty((STEPS, _STATES), dtype=np.float32)
    known = np.unpackbits(np.array([VERSION], dtype=np.uint8))
    for step in range(STEPS):
        # State = the last 14 inputs, newest in the top bit: states j and j + 8192 both follow
        # 2 j and 2 j + 1. All generators have their first and last tap, so that the four
        # output words are one word and its complement: a butterfly.
        even, odd = metric[0::2], metric[1::2]
        gain = gains[step][words]
        apart, twice = even - odd, gain + gain
        zero, one = lead[step, :half], lead[step, half:]
        np.add(apart, twice, out=zero)
        np.subtract(apart, twice, out=one)
        metric = np.concatenate(
            [np.maximum(even + gain, odd - gain), np.maximum(even - gain, odd + gain)]
        )
        # The first bits are the version, the last ones are zeros: no need to guess.
        if step >= PAYLOAD_BITS or (step < known.size and not known[step]):
            metric[half:] = _NEVER
        elif step < known.size:
            metric[:half] = _NEVER
    yield from _paths(lead, answers)


def _paths(lead: NDArray[np.float32], answers: int) -> Iterator[NDArray[np.uint8]]:
    """Walks back from the end, best path first, then the cheapest detours.

    `lead` is by how much the even one of a state's two predecessors is better. A heap holds
    paths known from some step to the end; what is lost against the best path so far decides
    the order, and the way from there to the start is always the best one.
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
            ahead = float(lead[step, state])
            best = int(ahead < 0)
            detour = lost + abs(ahead)
            if detour < _FAR:
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
def _words() -> NDArray[np.intp]:
    """The output word of a 0 that follows each even state."""
    register = np.arange(0, _STATES, 2)
    words = np.zeros(register.size, dtype=np.intp)
    for output, generator in enumerate(GENERATORS):
        words |= (np.bitwise_count(register & generator).astype(np.intp) & 1) << output
    return words
