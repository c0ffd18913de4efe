"""What was read from a clip, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from watermark.geometry import Geometry
from watermark.payload import Payload

CERTAIN_LOG10_P: Final = -6.0
"""A reading is certain only at or below this false-positive bound."""

Mode = Literal["self_contained", "registry", "none"]


@dataclass(frozen=True, kw_only=True)
class Span:
    """A stretch of the clip in which the mark was seen, in seconds from its start."""

    start: float
    end: float
    pilot_score: float


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One attempt to read a mark.

    `log10_p` bounds the probability that frames made without the key give such a reading,
    everything that was tried included; 0.0 when nothing was found. `certain` means that the
    checksum holds (or the payload is a registered candidate) and `log10_p` <= -6; only then
    may the payload be acted upon. `pilot_score` is in standard deviations. A reading that
    found nothing does not say that there never was a mark.
    """

    payload: Payload | None
    certain: bool
    log10_p: float
    key_id: str | None
    mode: Mode
    geometry: Geometry | None
    spans: tuple[Span, ...]
    frames_read: int
    pilot_score: float
    algorithm: str

    def __post_init__(self) -> None:
        if not self.certain:
            return
        if self.payload is not None and self.log10_p <= CERTAIN_LOG10_P:
            return
        raise ValueError("A certain reading needs a payload and a small false-positive bound.")


def nothing(*, algorithm: str, frames_read: int, pilot_score: float) -> Reading:
    """The reading of a clip in which no mark was found."""
    return Reading(
        payload=None,
        certain=False,
        log10_p=0.0,
        key_id=None,
        mode="none",
        geometry=None,
        spans=(),
        frames_read=frames_read,
        pilot_score=pilot_score,
        algorithm=algorithm,
    )
