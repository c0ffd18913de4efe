"""What is asked of a generator, and the clip it answers with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from generator.cards import ModelCard

# uint8[T,H,W,3], RGB, T ≤ MAX_CHUNK.
Frames: TypeAlias = NDArray[np.uint8]
MAX_CHUNK = 16

# Called as on_progress(done, total) after each step; whatever it raises ends the generation
# at once and reaches the caller unchanged. That is how a generation is cancelled.
Progress: TypeAlias = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    """A clip that is wanted: size in pixels, length in seconds, the seed that decides chance.

    Nothing is checked here: what is possible depends on the model, and its generator refuses
    the rest with `UnsupportedRequest`.
    """

    prompt: str
    negative_prompt: str = ""
    seconds: int
    width: int
    height: int
    seed: int
    model: str


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A finished clip.

    `frames` yields chunks uint8[T,H,W,3] RGB with T ≤ 16, in order, `frame_count` frames in
    all. It can be iterated more than once with the same result and holds only a few frames
    in memory at a time.
    """

    frames: Iterable[Frames]
    frame_count: int
    fps: int
    width: int
    height: int
    seed: int
    model_name: str
    model_version: str


class Generator(Protocol):
    """Makes clips from prompts. One call at a time per generator."""

    @property
    def name(self) -> str:
        """The model's name, as requests and the audit log use it."""
        ...

    @property
    def card(self) -> ModelCard:
        """What is known about the model."""
        ...

    def generate(self, request: GenerationRequest, *, on_progress: Progress) -> Clip:
        """Makes the clip: same request, same machine, same frames.

        Raises `UnsupportedRequest` before any work, `WeightsMissing` when the model cannot be
        loaded as its card describes it, `GenerationError` when it fails, and whatever
        `on_progress` raises.
        """
        ...


__all__ = ["MAX_CHUNK", "Clip", "Frames", "GenerationRequest", "Generator", "Progress"]
