"""The watermark of this instance, built from the settings and the keys."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.errors import ConfigurationFault
from gateway.settings import Settings
from watermark.keys import KeyRefused, WatermarkKey
from watermark.learned.watermarker import LearnedWatermarker
from watermark.learned.weights import PinnedWeights, WeightsRefused
from watermark.spread import SpreadWatermarker
from watermark.watermarker import Watermarker


def chosen_watermarker(settings: Settings, secrets: Sequence[tuple[str, bytes]]) -> Watermarker:
    """The chosen engine with these keys (id, secret), the newest first.

    Raises ConfigurationFault when a key is no key or the weights are not the pinned ones.
    """
    try:
        keys = tuple(WatermarkKey(id=name, secret=secret) for name, secret in secrets)
    except KeyRefused as fault:
        raise ConfigurationFault("A watermark key is too short to be one.") from fault
    mark = settings.watermark
    if mark.weights is None or mark.weights_sha256 is None:
        return SpreadWatermarker(keys, mark.algorithm)
    weights = PinnedWeights(path=mark.weights, sha256=mark.weights_sha256, bits=mark.bits)
    try:
        weights.check()
    except WeightsRefused as fault:
        raise ConfigurationFault(str(fault)) from fault
    return LearnedWatermarker(keys, mark.algorithm, weights)
