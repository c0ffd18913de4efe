"""That the shipped text models read, and read what their authors' own code reads."""

from __future__ import annotations

import shutil
from functools import lru_cache

import cv2
import numpy as np
import pytest

from safety.cards import WeightsCard, WeightsMissing
from safety.frames import FrameClassifier
from safety.ocr import DETECTOR_FOLDER, RECOGNISER_FOLDER, TextReader
from safety.ocr_page import Page
from safety.picture_text import WORDS_HARM, PictureTextJudge
from safety.rules import RuleBook, RuleModerator
from safety.verdict import PictureNote

READER = TextReader()

# text, place, size, thickness, ink, ground: box and certainty that rapidocr 3.10.0 (PyPI) finds
# with the files as published, Det.limit_type "max", Det.limit_side_len 736, use_cls off.
RAPIDOCR = {
    ("Fresh bread today", (100, 300), 2.0, 4, (250, 240, 30), (30, 60, 120)): (
        ((91, 242), (612, 248), (612, 317), (90, 311)),
        0.99989,
    ),
    ("PLATFORM 9", (600, 600), 1.5, 3, (20, 20, 20), (220, 210, 200)): (
        ((595, 561), (877, 561), (877, 608), (595, 608)),
        0.97267,
    ),
    ("Sortie de secours", (50, 80), 1.2, 2, (200, 30, 30), (240, 240, 240)): (
        ((42, 43), (343, 49), (342, 90), (41, 85)),
        0.96674,
    ),
}


def written(*drawn) -> np.ndarray:
    """A text in Hershey letters on an even ground, uint8[720,1280,3]."""
    text, place, size, thickness, ink, ground = drawn
    frame = np.full((720, 1280, 3), ground, np.uint8)
    cv2.putText(frame, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, ink, thickness, cv2.LINE_AA)
    return frame


def lettered(text: str, *, size: int = 60, place: tuple[int, int] = (200, 300)) -> np.ndarray:
    """A text in the font inside OpenCV, which has Chinese, Cyrillic and Hangul."""
    frame = np.full((720, 1280, 3), (40, 70, 90), np.uint8)
    cv2.putText(frame, text, place, (240, 240, 240), cv2.FontFace("uni"), size, 500)
    return frame


@lru_cache(maxsize=1)
def greeting() -> np.ndarray:
    return lettered("Good morning, friends")


def read(frame: np.ndarray) -> Page:
    return READER.read(np.ascontiguousarray(frame))


@pytest.mark.parametrize("drawn", RAPIDOCR, ids=lambda drawn: drawn[0])
def test_a_line_is_found_and_read_as_by_the_authors_code(drawn):
    corners, certainty = RAPIDOCR[drawn]
    (line,) = read(written(*drawn)).lines
    assert line.text == drawn[0]
    assert np.array(line.box.corners) == pytest.approx(np.array(corners), abs=4)
    assert line.certainty == pytest.approx(certainty, abs=0.02)


@pytest.mark.parametrize(
    "text", ["Où est l'hôtel ?", "Straße 12", "Dobrý den, řeko", "欢迎光临", "ようこそ"]
)
def test_accents_chinese_and_japanese_are_read(text):
    page = read(lettered(text))
    assert page.whole
    assert page.texts[-1].replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("text", ["Доброе утро, друзья", "내일 아침에 만나요"])
def test_letters_that_the_model_does_not_know_count_as_unread(text):
    assert not read(lettered(text)).whole


@pytest.mark.parametrize(
    ("text", "size", "whole"),
    [("Жэюд", 150, False), ("Жэюд", 420, True), ("Доброеутро", 200, False)],
)
def test_a_short_thing_as_high_as_half_the_picture_is_taken_for_something_else(
    text, size, whole
):
    assert read(lettered(text, size=size, place=(10, 520))).whole is whole


@pytest.mark.parametrize(
    "hold",
    [
        lambda frame: frame[::-1, ::-1],
        lambda frame: frame[:, ::-1],
        lambda frame: np.rot90(frame),
        lambda frame: np.rot90(frame, -1),
    ],
    ids=["upside down", "mirrored", "turned left", "turned right"],
)
def test_a_line_is_read_however_it_is_held(hold):
    assert read(hold(greeting())).texts == ("Good morning, friends",)


def test_letters_on_each_other_are_read_as_a_word():
    frame = np.full((720, 1280, 3), (40, 70, 90), np.uint8)
    for number, letter in enumerate("BREAD"):
        place = (600, 120 + 70 * number)
        cv2.putText(frame, letter, place, (240, 240, 240), cv2.FontFace("sans"), 60, 500)
    assert "BREAD" in read(frame).texts


def test_a_picture_without_text_is_an_empty_page():
    x = np.linspace(0, 255, 1280)[None, :, None]
    assert read((x + np.zeros((720, 1, 3))).astype(np.uint8)).empty


def test_a_reader_without_room_says_what_it_left_out():
    page = TextReader(columns=100).read(greeting())
    assert page.lines == ()
    assert len(page.left_out) == 1
    assert not page.whole


@pytest.mark.parametrize("size", [(1, 1), (9, 700), (700, 9), (33, 31)])
def test_a_picture_of_any_size_can_be_read(size):
    noise = np.random.default_rng(1).integers(0, 256, (*size, 3)).astype(np.uint8)
    READER.read(noise)


@pytest.mark.parametrize("folder", ["detector", "recogniser"])
def test_changed_weights_are_never_opened(tmp_path, folder):
    source = {"detector": DETECTOR_FOLDER, "recogniser": RECOGNISER_FOLDER}[folder]
    shutil.copytree(source, tmp_path, dirs_exist_ok=True)
    weights = next(tmp_path.glob("*.onnx"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    with pytest.raises(WeightsMissing):
        TextReader(**{folder: tmp_path}).load()


@pytest.mark.parametrize("folder", [DETECTOR_FOLDER, RECOGNISER_FOLDER])
def test_the_licence_lies_beside_the_weights(folder):
    assert WeightsCard.load(folder).licence == "Apache-2.0"
    assert "Apache License" in (folder / "LICENSE").read_text("utf-8")


def test_the_real_judge_scores_a_harmless_sign_low_and_keeps_the_promise():
    judge: FrameClassifier = PictureTextJudge(
        reader=READER, moderators=(RuleModerator(book=RuleBook.load()),)
    )
    frames = np.stack([greeting(), np.full((720, 1280, 3), 90, np.uint8)])
    sign, bare = judge.score(frames)
    assert sign.scores.keys() == bare.scores.keys() == WORDS_HARM
    assert max(sign.scores.values()) < 0.6
    assert (sign.notes, bare.notes) == ({PictureNote.TEXT}, frozenset())


def test_a_brand_on_a_sign_is_named_as_in_a_prompt():
    moderator = RuleModerator(book=RuleBook.load())
    judge = PictureTextJudge(reader=READER, moderators=(moderator,))
    (typed,) = moderator.score(["Coca-Cola"])
    (shown,) = judge.score(lettered("Coca-Cola")[None])
    assert shown.named == typed.named != ()
