"""The convolutional code that protects a payload: rate 1/6, constraint length 15.

Zero-terminated, so 96 payload bits and 14 zeros become 660 code bits. The generators are the
deep-space ones (octal 46321, 51271, 70535, 63667, 73277, 76513; Cassini/Mars Pathfinder).
Frozen together with the payload layout.
"""

from __future__ import annotations

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
    """Finds the most likely uint8[96] for soft code bits float[660].

    A positive value votes for 0, a negative one for 1, the size is the confidence (Viterbi,
    maximum likelihood for Gaussian noise), taking the layout version for granted. Always
    answers: the checksum judges the answer.
    """
    branch, low, high = _trellis()
    votes = np.asarray(soft, dtype=np.float32).reshape(STEPS, len(GENERATORS))
    metric = np.full(_STATES, -np.inf, dtype=np.float32)
    metric[0] = 0.0
    chosen = np.empty((STEPS, _STATES), dtype=np.bool_)
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
        # The first bits are the version, the last ones are zeros: no need to guess.
        if step >= PAYLOAD_BITS or (step < known.size and not known[step]):
            metric[half:] = -np.inf
        elif step < known.size:
            metric[:half] = -np.inf
    state = 0
    bits = np.empty(STEPS, dtype=np.uint8)
    for step in range(STEPS - 1, -1, -1):
        bits[step] = state >> (MEMORY - 1)
        state = ((state << 1) & (_STATES - 1)) | int(chosen[step, state])
    return bits[:PAYLOAD_BITS]


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
