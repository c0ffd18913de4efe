"""The calls of a learned watermark that comes as a TorchScript file.

The interface is the one that VideoSeal documents for its `.jit` files
(github.com/facebookresearch/videoseal, docs/torchscript.md; MIT licence): `embed(imgs, msgs,
is_video)` gives marked frames; `detect(imgs, is_video)` gives [F, 1 + bits] or [F, 1 + bits,
H, W], of which channel 0 is not used and a positive value in channel 1 + i reads bit i as 1.
Frames are [F, 3, H, W] in 0..1, messages [1, bits] of 0.0 and 1.0. `step_size` is how many
frames share one key frame; the `video_mode` "repeat" holds its mark until the next one.

TorchScript raises its own `JITException`, which is no `RuntimeError`, besides whatever the
operators raise: every exception of a model is caught here and named.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from watermark.learned.weights import PinnedWeights, WeightsRefused
from watermark.watermarker import Frames

MAX_STEP: Final = 64
MIN_PSNR_DB: Final = 30.0
"""A model that changes the picture more than this is not writing an invisible mark."""

_PROBE: Final = np.full((1, 64, 64, 3), 127, dtype=np.uint8)
_STRANGER: Final = (
    "The weights are pinned and intact but are no TorchScript file of VideoSeal that this "
    "release can call: {why}. Install the file that its documentation names."
)


class MarkingFailed(RuntimeError):
    """The model failed while marking: nothing of this clip may be used."""


class ReadingFailed(RuntimeError):
    """The model failed while reading: the clip was not checked, which is not 'no mark'."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LearnedModel:
    """A loaded model. `step` frames are marked at a time; it carries `bits` bits."""

    module: Any
    device: str
    bits: int
    step: int

    def mark(self, group: Frames, message: NDArray[np.uint8]) -> Frames:
        """Marks uint8[F, H, W, 3], F <= `step`, whose first frame is the key frame.

        The model always sees `step` frames, the last one repeated: a frame then gets the
        same pixels however many of its followers are known yet. Raises `MarkingFailed` when
        the model fails or answers with anything but slightly changed frames.
        """
        import torch

        missing = self.step - len(group)
        whole = np.concatenate([group, np.repeat(group[-1:], missing, axis=0)])
        try:
            with _plain_execution():
                sent = torch.from_numpy(message.astype(np.float32))[None].to(self.device)
                batch = self._batch(whole)
                marked = _answered(self.module.embed(batch, sent, is_video=True))
                levels = marked.mul(255).add_(0.5).clamp_(0, 255).to(torch.uint8)
                pixels = np.ascontiguousarray(levels.permute(0, 2, 3, 1).cpu().numpy())
                # A shape that only broadcasts, or a single NaN, leaves no finite error.
                same = marked.shape == batch.shape
                error = float(batch.sub_(marked).norm()) if same else math.inf
        except Exception as fault:
            raise MarkingFailed("The learned watermark failed on these frames.") from fault
        if error**2 <= pixels.size * 10 ** (-MIN_PSNR_DB / 10):
            return pixels[: len(group)]
        raise MarkingFailed(
            "The learned watermark did not answer with invisibly changed frames."
        )

    def logits(self, frames: Frames) -> NDArray[np.float64]:
        """What the model reads in uint8[F, H, W, 3]: float64[F, bits], as it answered.

        May hold NaN and infinity. Raises `ReadingFailed` when the model fails.
        """
        import torch

        try:
            with _plain_execution():
                answer = _answered(self.module.detect(self._batch(frames), is_video=True))
                flat = answer.reshape(len(frames), self.bits + 1, -1).to(torch.float64)
                return np.asarray(flat.mean(dim=2)[:, 1:].cpu().numpy(), dtype=np.float64)
        except Exception as fault:
            raise ReadingFailed("The learned watermark could not look at frames.") from fault

    def _batch(self, frames: Frames) -> Any:
        import torch

        pixels = torch.from_numpy(np.ascontiguousarray(frames)).to(self.device)
        return pixels.permute(0, 3, 1, 2).contiguous().float().div_(255)


def load(weights: PinnedWeights) -> LearnedModel:
    """Loads the model from bytes that match their pin, on CUDA if there is one, and tries it.

    Raises `WeightsRefused` when the file is absent, another, or does not answer as VideoSeal's
    files do with this number of bits.
    """
    import torch

    content = weights.read()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        with warnings.catch_warnings():
            # TorchScript is deprecated in favour of a format that VideoSeal does not publish.
            warnings.simplefilter("ignore", DeprecationWarning)
            module: Any = torch.jit.load(  # type: ignore[no-untyped-call]
                io.BytesIO(content), map_location=device
            ).eval()
    except Exception as fault:
        raise WeightsRefused(_STRANGER.format(why="it cannot be loaded")) from fault
    step = getattr(module, "step_size", None)
    if not (isinstance(step, int) and 1 <= step <= MAX_STEP):
        raise WeightsRefused(_STRANGER.format(why="it names no step_size of 1 to 64"))
    if getattr(module, "video_mode", "repeat") != "repeat":
        raise WeightsRefused(_STRANGER.format(why="its video_mode is not 'repeat'"))
    if not (hasattr(module, "embed") and hasattr(module, "detect")):
        raise WeightsRefused(_STRANGER.format(why="it has no embed or no detect"))
    model = LearnedModel(module=module, device=device, bits=weights.bits, step=step)
    _demand_bits(model)
    return model


def _demand_bits(model: LearnedModel) -> None:
    """Marks and reads a grey frame: a model of other dimensions fails here, not on a clip."""
    import torch

    try:
        with _plain_execution():
            seen = _answered(model.module.detect(model._batch(_PROBE), is_video=True))
    except Exception as fault:
        raise WeightsRefused(_STRANGER.format(why="it cannot look at a frame")) from fault
    if seen.ndim not in (2, 4) or seen.shape[0] != 1 or seen.dtype != torch.float32:
        raise WeightsRefused(_STRANGER.format(why="its answers have another shape"))
    if (found := seen.shape[1] - 1) != model.bits:
        raise WeightsRefused(
            f"The weights carry {found} bits, the settings say {model.bits}: "
            f"set the watermark's bits to {found}, or install other weights."
        )
    try:
        model.mark(_PROBE, np.zeros(model.bits, dtype=np.uint8))
    except MarkingFailed as fault:
        raise WeightsRefused(_STRANGER.format(why="it cannot mark a grey frame")) from fault


def _answered(answer: object) -> Any:
    import torch

    if isinstance(answer, torch.Tensor):
        return answer
    raise TypeError("The model did not answer with a tensor.")


@contextmanager
def _plain_execution() -> Iterator[None]:
    """Without gradients, and without profiling, which computes a later clip otherwise."""
    import torch

    jit: Any = torch.jit
    with torch.no_grad(), jit.optimized_execution(should_optimize=False):
        yield
