"""What picture adapters do without a model: settings, cards, answers, the fit of a picture."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from safety.adapters.faults import GuardRefused
from safety.adapters.picture_answers import READERS, format_of, llava_guard_answer
from safety.adapters.picture_card import PictureCard
from safety.adapters.picture_fit import (
    MAX_ASPECT,
    MAX_SIDE,
    MIN_SIDE,
    fit_for,
    framed,
    picture_of,
    plain,
    size_of,
    squared,
)
from safety.adapters.picture_guard import DECIDED_SCORE, weighed
from safety.adapters.picture_model import PictureModel
from safety.adapters.picture_settings import (
    PictureModelSettings,
    VisionGuardFolder,
    label_map_of,
)
from safety.circumstances import STRICTEST
from safety.frames import FrameScores
from safety.policy import POLICY_PATH, Policy
from safety.verdict import Action, Category

SETTINGS: TypeAdapter[PictureModelSettings] = TypeAdapter(PictureModelSettings)
GORE, HATE = Category.GORE_GRAPHIC, Category.HATE
PLACE = {"path": "/srv/m"}
CLASSIFIER = {**PLACE, "kind": "image_classifier", "labels": {"a": {"categories": ["hate"]}}}
ZERO_SHOT = {**PLACE, "kind": "zero_shot", "texts": {"hate": ["x"]}, "neutral": ["y"]}
GUARD = {**PLACE, "kind": "vision_guard", "format": "llama_guard"}
CARD = b'name = "m"\nversion = "1"\nlicence = "MIT"\n[files]\n"a.safetensors" = "%s"\n' % (
    b"0" * 64
)


def model(settings: dict[str, Any]) -> PictureModel:
    return PictureModel(SETTINGS.validate_python(settings), PictureCard.parse(CARD))


# --- settings -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        {"kind": "oracle"},
        {"colour": "red"},
        {"device": "tpu"},
        {"batch": 0},
        {"precision": "int4"},
        {"labels": {}},
        {"texts": {"hate": ["x"]}},
        {"calibration": {"hate": []}},
        {"calibration": {"hate": [[0.5, 0.6], [0.4, 0.9]]}},
        {"calibration": {"hate": [[0.4, 0.9], [0.5, 0.6]]}},
        {"calibration": {"hate": [[0.0, 0.6]]}},
        {"calibration": {"hate": [[0.5, float("nan")]]}},
        {"calibration": {"rudeness": [[0.5, 0.6]]}},
    ],
)
def test_a_picture_model_that_is_written_wrongly_is_refused(changed: dict[str, Any]) -> None:
    SETTINGS.validate_python(CLASSIFIER)
    with pytest.raises(ValidationError):
        SETTINGS.validate_python({**CLASSIFIER, **changed})


@pytest.mark.parametrize(
    "settings",
    [
        {**ZERO_SHOT, "texts": {}},
        {**ZERO_SHOT, "texts": {"hate": []}},
        {**ZERO_SHOT, "texts": {"rudeness": ["x"]}},
        {**ZERO_SHOT, "neutral": ["x"]},
        {**ZERO_SHOT, "neutral": [f"text {n}" for n in range(200)]},
        {**GUARD, "questions": {"a": "Is it?"}},
        {**GUARD, "format": "llava_guard"},
        {**GUARD, "format": "yes_no", "prompt": "Is it?"},
        {**GUARD, "format": "oracle"},
        {**GUARD, "max_new_tokens": 100_000},
    ],
)
def test_settings_that_contradict_their_kind_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SETTINGS.validate_python(settings)


@pytest.mark.parametrize(
    "settings",
    [
        {**CLASSIFIER, "labels": {"a": {"categories": ["rudeness"]}}},
        {**CLASSIFIER, "labels": {"a": {"categories": []}}},
        {**GUARD, "labels": {"S1": {"categories": ["rudeness"]}}},
        {**GUARD, "format": "yes_no"},
        {**CLASSIFIER, "calibration": {"gore_graphic": [[0.5, 0.6]]}},
    ],
)
def test_a_label_map_or_calibration_that_means_nothing_is_refused(
    settings: dict[str, Any],
) -> None:
    with pytest.raises(GuardRefused):
        model(settings)


def test_what_is_asked_is_part_of_the_name() -> None:
    names = [
        model(each).name
        for each in (
            CLASSIFIER,
            {**CLASSIFIER, "labels": {"a": {"categories": ["harassment"]}}},
            {**CLASSIFIER, "calibration": {"hate": [[0.5, 0.6]]}},
            ZERO_SHOT,
            {**ZERO_SHOT, "neutral": ["z"]},
            GUARD,
            {**GUARD, "prompt": "Look."},
        )
    ]
    assert len(set(names)) == len(names)
    assert all(name.startswith("m@1+") for name in names)
    moved = {**CLASSIFIER, "path": "/elsewhere", "device": "cuda", "batch": 9}
    assert model(moved).name == names[0]


def test_categories_are_known_before_anything_is_loaded() -> None:
    assert model(CLASSIFIER).categories == {HATE}
    assert model(ZERO_SHOT).categories == {HATE}
    assert Category.SEXUAL_MINORS in model(GUARD).categories
    fewer = {**GUARD, "benign": ["S4"]}
    assert Category.SEXUAL_MINORS not in model(fewer).categories


def test_the_built_in_maps_cover_their_formats() -> None:
    llava = {**GUARD, "format": "llava_guard", "prompt": "policy"}
    shield = {**GUARD, "format": "shield_gemma_2"}
    for settings, count in ((llava, 9), (shield, 3)):
        parsed = SETTINGS.validate_python(settings)
        assert isinstance(parsed, VisionGuardFolder)
        assert len(label_map_of(parsed).targets) == count


def test_calibration_moves_scores_and_keeps_their_order() -> None:
    moved = model({**CLASSIFIER, "calibration": {"hate": [[0.2, 0.7], [0.5, 0.9]]}})
    raw = [0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0]
    found = [moved._counted({HATE: score})[HATE] for score in raw]
    assert found == pytest.approx([0.0, 0.35, 0.7, 0.8, 0.9, 0.95, 1.0])
    assert model(CLASSIFIER)._counted({HATE: 0.35}) == {HATE: 0.35}


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -0.1, 1.1])
def test_a_score_that_is_none_is_never_passed_on(score: float) -> None:
    with pytest.raises(RuntimeError):
        model(CLASSIFIER)._counted({HATE: score})
    calibrated = model({**CLASSIFIER, "calibration": {"hate": [[0.5, 0.6]]}})
    with pytest.raises(RuntimeError):
        calibrated._counted({HATE: score})


def test_a_category_that_was_not_promised_is_an_error() -> None:
    with pytest.raises(RuntimeError):
        model(CLASSIFIER)._counted({GORE: 0.1})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"name = 1",
        CARD + b"[guard]\nfamily = 'x'\n",
        CARD.replace(b"0" * 64, b"0" * 63),
        CARD.replace(b"a.safetensors", b"../a.safetensors"),
        CARD.replace(b'licence = "MIT"\n', b""),
        b"#" * 300_000,
    ],
)
def test_a_card_that_says_nonsense_is_refused(content: bytes) -> None:
    with pytest.raises(GuardRefused):
        PictureCard.parse(content)


def test_a_folder_without_a_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GuardRefused, match=r"card\.toml") as caught:
        PictureCard.load(tmp_path)
    assert str(tmp_path) not in str(caught.value)


# --- answers --------------------------------------------------------------------------------


UNSAFE = '{\n    "rating": "Unsafe",\n    "category": "O2: Violence, Harm, or Cruelty",\n'


@pytest.mark.parametrize(
    ("text", "word", "labels"),
    [
        (UNSAFE + '    "rationale": "Blood."\n}', "Unsafe", ("O2",)),
        (UNSAFE + '    "ratio', "Unsafe", ("O2",)),
        ('{"rating":"Unsafe","category":"O3"}', "Unsafe", ("O3",)),
        ('{"rating": "Safe", "category": "NA: None applying", "rationale', "Safe", ()),
        ('{"rating": "Safe", "category": "O2: Violence",', "Safe", ("O2",)),
        ('{"rating": "Unsafe", "category": "NA: None applying",', None, None),
        ('{"rating": "Unsafe", "category": "O2: Viol', None, None),
        ('{"rating": "Unsafe", "category": "Violence",', None, None),
        ('{"rating": "Unsafe"', None, None),
        ('{"rating": "unsafe", "category": "O2: Violence",', None, None),
        ('{"category": "O2: Violence", "rating": "Unsafe"}', None, None),
        ('Sure! {"rating": "Safe", "category": "NA: None applying"}', None, None),
        ('{"rating": "Safe", "category": "NA: None applying"} no, Unsafe', None, None),
        ("safe", None, None),
        ("", None, None),
    ],
)
def test_llava_guard_answers(
    text: str, word: str | None, labels: tuple[str, ...] | None
) -> None:
    answer = llava_guard_answer(text)
    assert (answer and answer.word, answer and answer.labels) == (word, labels)


@given(st.text(alphabet='{}":,SafeUnratigcoyO12NA \n', max_size=80))
def test_no_answer_is_read_out_of_noise_without_a_rating(text: str) -> None:
    answer = llava_guard_answer(text)
    assert answer is None or '"rating"' in text


def test_every_format_has_all_that_asking_needs() -> None:
    for name in ("llama_guard", "llava_guard", "shield_gemma_2", "yes_no"):
        told = format_of(name)  # type: ignore[arg-type]
        assert told.against in told.words
        assert (name in READERS) == (told.max_new_tokens > 1)


def test_a_guard_that_decides_against_a_picture_is_always_acted_on() -> None:
    policy = Policy.load(POLICY_PATH)
    assert weighed(0.5) == DECIDED_SCORE
    assert [weighed(p) for p in (0.0, 0.25, 1.0)] == [0.0, DECIDED_SCORE / 2, 1.0]
    judged = [c for c in Category if c in policy.rules and policy.rules[c].frames is not None]
    assert judged
    for category in judged:
        scores = dict.fromkeys(judged, 0.0) | {category: DECIDED_SCORE}
        frame = FrameScores(index=0, seconds=0.0, scores=scores)
        verdict = policy.judge_frames([frame], judges=("x@1",), circumstances=STRICTEST)
        assert verdict.action is not Action.ALLOW, category


# --- the fit of a picture -------------------------------------------------------------------


def test_a_frame_of_ordinary_size_is_not_touched() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (720, 1280, 3)).astype(np.uint8)
    assert np.array_equal(np.asarray(picture_of(frame)), frame)


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_every_picture_is_bounded_in_size_and_shape(height: int, width: int) -> None:
    size = size_of(width, height)
    assert MIN_SIDE <= min(size) <= max(size) <= MAX_SIDE
    assert max(size) / min(size) <= MAX_ASPECT + 0.01


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 2), (9, 16)])
def test_a_frame_of_any_shape_becomes_a_picture(size: tuple[int, int]) -> None:
    picture = picture_of(np.full((*size, 3), 200, np.uint8))
    assert picture.size == size_of(size[1], size[0])
    assert np.asarray(picture).min() == 200


def _cutting(share: float) -> Any:
    """A processor that cuts a square of this share out of the middle, 64 pixels wide."""

    def pixels(picture: Image.Image) -> np.ndarray:
        side = int(min(picture.size) * share)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        cut = picture.crop((left, top, left + side, top + side)).resize((64, 64))
        return np.asarray(cut, np.float32)

    return pixels


def test_a_processor_that_shows_everything_is_given_pictures_as_they_are() -> None:
    assert fit_for(lambda p: np.asarray(p.resize((64, 64)), np.float32)) is plain


def test_nothing_is_lost_at_a_processor_that_cuts() -> None:
    assert fit_for(_cutting(1.0)) is squared
    assert fit_for(_cutting(0.875)) is framed


def test_a_processor_that_cuts_too_much_is_refused() -> None:
    with pytest.raises(GuardRefused, match="edges"):
        fit_for(_cutting(0.6))
    with pytest.raises(GuardRefused, match="edges"):
        fit_for(lambda _: np.zeros((3, 8, 8), np.float32))


def test_settings_and_builder_import_nothing_heavy() -> None:
    script = (
        "import sys, safety.adapters.picture_model\n"
        "print(sorted({'torch', 'transformers', 'tokenizers'} & sys.modules.keys()))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"
