"""The weights of a learned watermark: pinned, tried when loaded, chosen in the settings."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gateway.app import Gateway
from gateway.doctor import probes
from gateway.doctor import weights as weights_of
from gateway.errors import ConfigurationFault
from gateway.readiness import Check
from gateway.settings import Settings, load_settings
from tests.tiny_videoseal import save_tiny
from watermark.keys import WatermarkKey
from watermark.learned.model import load
from watermark.learned.watermarker import LearnedWatermarker
from watermark.learned.weights import PinnedWeights, WeightsRefused
from watermark.payload import Payload

KEY = WatermarkKey(id="now", secret=b"the key of these tests, number one")
FRAME = np.full((1, 128, 128, 3), 90, dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def tiny(folder: Path) -> PinnedWeights:
    return save_tiny(folder)


def test_absent_weights_say_what_to_do(tmp_path: Path) -> None:
    absent = PinnedWeights(path=tmp_path / "none.jit", sha256="0" * 64, bits=256)
    for call in (absent.check, absent.read):
        with pytest.raises(WeightsRefused, match=r"absent: install .* never downloaded"):
            call()
    marker = LearnedWatermarker([KEY], "org.example.test.videoseal.1", absent)
    with pytest.raises(WeightsRefused):
        list(marker.embed([FRAME], Payload(clip_id=1), fps=24))
    with pytest.raises(WeightsRefused):
        marker.extract([FRAME], fps=24)


def test_weights_with_one_other_byte_are_never_loaded(
    tiny: PinnedWeights, tmp_path: Path
) -> None:
    content = bytearray(tiny.path.read_bytes())
    content[len(content) // 2] ^= 1
    altered = replace(tiny, path=tmp_path / "altered.jit")
    altered.path.write_bytes(content)
    for call in (altered.check, altered.read, lambda: load(altered)):
        with pytest.raises(WeightsRefused, match="not the file that was pinned"):
            call()


def test_no_sentence_about_weights_shows_their_path(tmp_path: Path) -> None:
    absent = PinnedWeights(path=tmp_path / "secret-place.jit", sha256="0" * 64, bits=256)
    with pytest.raises(WeightsRefused) as caught:
        absent.read()
    assert "secret-place" not in str(caught.value)


def test_a_pinned_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "words.jit"
    path.write_bytes(b"these are only words")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(WeightsRefused, match="cannot be loaded"):
        load(PinnedWeights(path=path, sha256=digest, bits=256))


def test_a_model_of_other_bits_says_how_many_it_has(folder: Path) -> None:
    other = save_tiny(folder, bits=128)
    with pytest.raises(WeightsRefused, match=r"carry 128 bits, the settings say 256"):
        load(replace(other, bits=256))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"step": 0}, "step_size"),
        ({"step": 1000}, "step_size"),
        ({"mode": "interpolate"}, "video_mode"),
        ({"fault": "detect answers flat"}, "another shape"),
        ({"fault": "detect raises"}, "cannot look"),
        ({"fault": "embed raises"}, "cannot mark"),
        ({"fault": "embed answers NaN"}, "cannot mark"),
        ({"fault": "embed darkens"}, "cannot mark"),
        ({"fault": "embed shrinks"}, "cannot mark"),
    ],
)
def test_a_model_that_behaves_otherwise_is_refused_when_loaded(
    folder: Path, change: dict[str, object], told: str
) -> None:
    with pytest.raises(WeightsRefused, match=told):
        load(save_tiny(folder, **change))  # type: ignore[arg-type]


# --- choosing it -----------------------------------------------------------------------


def chosen(tmp_path: Path, weights: PinnedWeights, **change: object) -> Settings:
    mark: dict[str, object] = {
        "engine": "videoseal",
        "weights": weights.path,
        "weights_sha256": weights.sha256,
        **change,
    }
    return Settings.model_validate({"data_dir": tmp_path, "watermark": mark})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("engine = 'videoseal'", "needs weights"),
        ("engine = 'videoseal'\nweights = '/a.jit'", "needs weights"),
        ("weights = '/a.jit'", "choose that engine or remove them"),
        ("bits = 256", "choose that engine or remove them"),
        ("algorithm = 'com.studio.videoseal.1'", "name of another engine"),
        (
            "engine = 'videoseal'\nalgorithm = 'com.studio.wm.1'",
            "name of another engine",
        ),
        ("engine = 'videoseal'\nweights = '/a'\nweights_sha256 = 'f00'", "weights_sha256"),
        ("engine = 'magic'", "engine"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(
    tmp_path: Path, text: str, told: str
) -> None:
    (tmp_path / "gateway.toml").write_text(f"[watermark]\n{text}", encoding="utf-8")
    with pytest.raises(ConfigurationFault, match=told):
        load_settings(data_dir=tmp_path)


def test_each_engine_has_a_name_of_its_own(tmp_path: Path, tiny: PinnedWeights) -> None:
    names = {Settings().watermark.algorithm, chosen(tmp_path, tiny).watermark.algorithm}
    assert names == {"org.example.cinegate.wm.1", "org.example.cinegate.videoseal.1"}


def asked(gateway: Gateway) -> Check:
    """What the doctor says of the mark alone."""
    (probe,) = (probe for probe in probes(gateway) if probe.part == "watermark")
    return probe.ask()


def test_the_gateway_marks_with_the_engine_that_was_chosen(
    tmp_path: Path, tiny: PinnedWeights
) -> None:
    gateway = Gateway(chosen(tmp_path, tiny))
    with gateway.opened():
        assert isinstance(gateway.watermarker, LearnedWatermarker)
        assert gateway.watermarker.name == "org.example.cinegate.videoseal.1"
        assert asked(gateway).ok
        assert weights_of(gateway)[f"videoseal/{tiny.path.name}"] == tiny.sha256


def test_the_gateway_refuses_weights_that_are_not_there(
    tmp_path: Path, tiny: PinnedWeights
) -> None:
    absent = replace(tiny, path=tmp_path / "absent.jit")
    with Gateway(chosen(tmp_path, absent)).opened() as gateway:
        with pytest.raises(ConfigurationFault, match="install the TorchScript file"):
            _ = gateway.watermarker
        assert "install the TorchScript file" in (asked(gateway).problem or "")


def test_the_doctor_says_that_the_bits_are_wrong(tmp_path: Path, tiny: PinnedWeights) -> None:
    with Gateway(chosen(tmp_path, tiny, bits=96)).opened() as gateway:
        assert "carry 256 bits, the settings say 96" in (asked(gateway).problem or "")
