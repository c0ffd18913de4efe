"""Other watermarks in the same run: RivaGAN and DwtDctSvd of invisible-watermark.

They mark single frames with 32 bits and no error correction, at the strength their package
gives them; RivaGAN also scaled to the PSNR of ours. DwtDctSvd changes one colour difference
only, so figures that look at luma do not see it. All schemes get the same second of each clip
(RivaGAN marks less than one frame a second here); the peers' bits are averaged over four
frames, which is kinder than their own single-frame reading.
"""

from __future__ import annotations

import importlib.util
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tests.bench.watermark import attacks_codec as codec
from tests.bench.watermark.attacks import ATTACKS
from tests.bench.watermark.cells import (
    Row,
    Shelf,
    bit_accuracy,
    chunks,
    following_crf,
    payload_of,
    rng_for,
    store,
)
from tests.bench.watermark.clips import CLIPS, Trial
from tests.bench.watermark.footage import Clip
from tests.bench.watermark.looks import looks
from watermark.spread import SpreadWatermarker

BITS: Final = 32
FRAMES: Final = 24
LEAD: Final = 12
"""Frames that ours marks before the second begins: it is cut from a marked clip, as any
second of a released clip would be, and so our mark turns over in the middle of it."""

VOTERS: Final = 4
PEER_CLIPS: Final = (
    "bikes-480",
    "china-480",
    "flower-480",
    "gravel-480",
    "dusk-480",
    "model-360",
)
PEER_ATTACKS: Final = (
    "published",
    "crf23",
    "crf30",
    "crf35",
    "h265-28",
    "av1-45",
    "360p-back",
    "crop75",
    "crop50",
    "rotate5",
    "hflip",
    "bright150",
    "blur9",
    "noise10",
    "crop75+360p+crf30+bright",
)

Picture = NDArray[np.uint8]
Soft = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Marks one BGR frame with 32 bits; reads 32 numbers that are above 0 for a one."""

    mark: Callable[[Picture, list[int]], Picture]
    read: Callable[[Picture], Soft]


def rivagan() -> Peer:
    """RivaGAN (Zhang et al. 2019) as ONNX files in the package, on one thread."""
    import onnxruntime
    from imwatermark.rivaGan import RivaWatermark

    found = importlib.util.find_spec("imwatermark")
    assert found is not None
    assert found.origin is not None
    folder = Path(found.origin).parent
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3

    def session(name: str) -> Any:
        return onnxruntime.InferenceSession(str(folder / name), options)

    RivaWatermark.encoder = session("rivagan_encoder.onnx")
    RivaWatermark.decoder = decoder = session("rivagan_decoder.onnx")

    def read(frame: Picture) -> Soft:
        scaled = frame.astype(np.float32) / 127.5 - 1
        taken = scaled.transpose(2, 0, 1)[None, :, None]
        out = decoder.run(None, {"frame": np.ascontiguousarray(taken)})[0][0]
        return np.asarray(out, dtype=np.float64) - 0.52

    return Peer(mark=lambda f, bits: RivaWatermark(bits, BITS).encode(f), read=read)


def dwtdctsvd() -> Peer:
    """DwtDctSvd (Navas et al. 2008), quantisation of singular values."""
    from imwatermark.dwtDctSvd import EmbedDwtDctSvd

    def read(frame: Picture) -> Soft:
        found = EmbedDwtDctSvd(wmLen=BITS).decode(frame)
        return np.asarray(found, dtype=np.float64) - 0.5

    return Peer(mark=lambda f, bits: EmbedDwtDctSvd(bits, BITS).encode(f), read=read)


PEERS: Final = {"rivagan": rivagan, "dwtdctsvd": dwtdctsvd}
OURS: Final = "ours"
EQUAL: Final = "-equal"
SCHEMES: Final = (OURS, "rivagan", "rivagan-equal", "dwtdctsvd")


def short(trial: Trial) -> Clip:
    """The second of a clip that all schemes mark, after `LEAD` frames that lead to it."""
    clip = trial.draw()
    first = (len(clip) - FRAMES) // 2
    return clip[first - LEAD : first + FRAMES]


def bits_of(trial: Trial) -> list[int]:
    """The 32 bits that a peer hides in a clip."""
    return [int(bit) for bit in rng_for("bits", trial.name).integers(0, 2, BITS)]


def compare(scheme: str, clip_name: str, marker: SpreadWatermarker, shelf: Shelf) -> list[Row]:
    """Marks a second of one clip by one scheme, then does all attacks on it.

    A scheme is `ours`, a peer, or a peer with `-equal` after it: its change of the picture is
    multiplied so that the PSNR is that of ours on the same frames.
    """
    trial = CLIPS[clip_name]
    with_lead = short(trial)
    clip = with_lead[LEAD:]
    peer = PEERS[scheme.removesuffix(EQUAL)]() if scheme != OURS else None
    marked, seconds = _ours(trial, with_lead, marker)
    if peer is not None:
        wanted = looks(clip, marked)["psnr"]
        marked, seconds = _theirs(peer, scheme.removesuffix(EQUAL), trial, clip, shelf)
        if scheme.endswith(EQUAL):
            have = looks(clip, marked)["psnr"]
            marked = _weakened(clip, marked, 10 ** (((have or 0) - (wanted or 0)) / 20))
    rate = round(len(clip) / max(1e-6, seconds), 2)
    figures = looks(clip, marked)
    video = codec.decoded(codec.published(marked, trial.fps))
    rows: list[Row] = []
    for name in PEER_ATTACKS:
        attack = ATTACKS[name]
        if not attack.applies(trial.height, trial.width):
            continue
        rng = rng_for(trial.name, name)
        damaged, fps = attack(video, trial.fps, rng, crf=following_crf(trial))
        if peer is None:
            read = marker.extract(iter(chunks(damaged)), fps=fps)
            exact = read.certain and read.payload == payload_of(trial)
            accuracy = bit_accuracy(read.payload, payload_of(trial))
        else:
            right = _voted(peer, damaged) == np.array(bits_of(trial), dtype=bool)
            exact, accuracy = bool(right.all()), float(right.mean())
        rows.append(
            {
                "scheme": scheme,
                "clip": clip_name,
                "attack": name,
                "exact": bool(exact),
                "bits": round(accuracy, 4),
                "psnr": figures["psnr"],
                "ssim": figures["ssim"],
                "embed_fps": rate,
            }
        )
    return rows


def _ours(trial: Trial, clip: Clip, marker: SpreadWatermarker) -> tuple[Clip, float]:
    began = time.process_time()
    made = list(marker.embed(iter(chunks(clip)), payload_of(trial), fps=trial.fps))
    seconds = (time.process_time() - began) * FRAMES / len(clip)
    return np.concatenate(made)[LEAD:], seconds


def _theirs(
    peer: Peer, scheme: str, trial: Trial, clip: Clip, shelf: Shelf
) -> tuple[Clip, float]:
    kept = shelf.folder.parent / "peers" / f"{scheme}-{trial.name}.npz"
    if not kept.exists():
        began = time.process_time()
        out = np.empty_like(clip)
        for index, frame in enumerate(clip):
            swapped = np.ascontiguousarray(frame[..., ::-1])
            out[index] = peer.mark(swapped, bits_of(trial))[..., ::-1]
        file = io.BytesIO()
        np.savez(file, clip=out, seconds=time.process_time() - began)
        store(kept, file.getvalue())
    with np.load(kept) as found:
        return found["clip"], float(found["seconds"])


def _weakened(clip: Clip, marked: Clip, factor: float) -> Clip:
    change = marked.astype(np.float32) - clip
    return np.clip(np.rint(clip + factor * change), 0, 255).astype(np.uint8)


def _voted(peer: Peer, clip: Clip) -> NDArray[np.bool_]:
    frames = clip[np.unique(np.linspace(0, len(clip) - 1, VOTERS).astype(int))]
    soft = [peer.read(np.ascontiguousarray(frame[..., ::-1])) for frame in frames]
    return np.asarray(np.mean(soft, axis=0) > 0)
