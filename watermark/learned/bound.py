"""The bound on reading something where nothing was written.

Every bit of the model carries a keyed sign that is uniform to anyone without the key, so for
frames made without it the agreement of the votes v with any fixed word is a Rademacher sum
Σ ε_i |v_i|, whatever the model answers to unmarked or foreign frames. Chernoff's inequality
bounds its tail: ln P(Σ ε_i |v_i| ≥ t) ≤ Σ ln cosh(λ v_i) − λ t for each λ > 0. It is never
weaker than Hoeffding's −z²/2 (the choice λ = t / Σ v_i²), and reaches −n ln 2, which is exact,
when all n votes agree. The union over the words and the attempts is added.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

_STEPS: Final = np.geomspace(0.02, 200.0, 160)[:, None]


def deviations(votes: NDArray[np.float64], word: NDArray[np.float32]) -> float:
    """The agreement of votes with a word, in standard deviations under random signs."""
    norm = float(np.linalg.norm(votes))
    return float(votes @ word) / norm if norm > 0 else 0.0


def log10_bound(
    votes: NDArray[np.float64], word: NDArray[np.float32], *, words: float, attempts: int
) -> float:
    """The base-10 logarithm of the bound for this agreement or a better one, at most 0.0.

    `words` is how many payloads could have been answered, `attempts` how many vectors of
    votes were tried. Any λ gives a valid bound, so the grid costs tightness, never truth.
    """
    scale = float(np.sqrt(np.mean(votes**2)))
    if not (math.isfinite(scale) and scale > 0):
        return 0.0
    scaled = votes / scale
    agreement = float(scaled @ word)
    if not agreement > 0:
        return 0.0
    size = _STEPS * np.abs(scaled)
    # ln cosh x = |x| + ln(1 + e^-2|x|) - ln 2, which does not overflow.
    logs = np.sum(size + np.log1p(np.exp(-2 * size)) - math.log(2), axis=1)
    tail = float(np.min(logs - _STEPS[:, 0] * agreement))
    total = tail + math.log(max(words, 1)) + math.log(max(attempts, 1))
    return min(0.0, total / math.log(10))
