"""The arithmetic around the face detector."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety.face_anchors import Detection, anchors, detections, merged, shared
from safety.face_chips import chip, similarity
from safety.faces import MAX_CANDIDATES, MAX_SQUARES, FaceFinder, squares

PLACES = np.array([[30, 40], [70, 40], [50, 60], [50, 80], [10, 50], [90, 50]], np.float64)


def seen(score: float, left: float = 0.0, *, side: float = 100.0) -> Detection:
    box = np.array([left, 0.0, left + side, side])
    return Detection(score, box, PLACES * side / 100 + (left, 0))


@given(st.integers(1, 4000), st.integers(1, 4000))
def test_the_squares_cover_every_picture_and_are_few(high, wide):
    each = list(squares(high, wide))
    assert 1 <= len(each) <= MAX_SQUARES
    left, top, side = each[0]
    assert left <= 0.5
    assert top <= 0.5
    assert side == max(high, wide)
    if len(each) > 1:
        for x in np.linspace(0, wide, 13):
            for y in np.linspace(0, high, 7):
                assert any(
                    left - 1e-6 <= x <= left + side + 1e-6
                    and top - 1e-6 <= y <= top + side + 1e-6
                    for left, top, side in each[1:]
                )


def test_a_hd_frame_is_looked_at_in_seven_squares_that_overlap():
    each = list(squares(720, 1280))
    assert len(each) == 7
    assert {side for _, _, side in each[1:]} == {540.0}
    starts = sorted({left for left, _, _ in each[1:]})
    assert all(b - a <= 450 for a, b in pairwise(starts))


def test_the_anchors_lie_in_the_middle_of_their_cells():
    places = anchors()
    assert places.shape == (896, 2)
    assert places[0].tolist() == places[1].tolist() == [8, 8]
    assert places[2].tolist() == [24, 8]
    assert places[512].tolist() == [16, 16]
    assert places[-1].tolist() == [240, 240]


def test_an_answer_becomes_a_box_and_points_around_its_anchor():
    rows = np.full((896, 17), -9, np.float32)
    rows[0] = [2, 4, 8, 60, 60, -10, -5, 10, -5, 0, 2, 0, 12, -25, 0, 25, 0]
    (found,) = detections(rows.ravel(), least=0.5)
    assert found.score == pytest.approx(0.8808, abs=1e-4)
    assert found.box == pytest.approx([-18, -14, 42, 46])
    assert found.points[0] == pytest.approx([-2, 3])
    assert found.points[3] == pytest.approx([8, 20])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_answer_that_is_not_a_number_is_refused(bad):
    rows = np.zeros(896 * 17, np.float32)
    rows[5] = bad
    with pytest.raises(RuntimeError):
        detections(rows, least=0.5)


def test_one_face_seen_twice_is_told_once():
    faces = merged([seen(0.6, 4), seen(0.9), seen(0.7, 300)])
    assert [round(face.score, 1) for face in faces] == [0.9, 0.7]
    assert faces[0].box[0] == pytest.approx(4 * 0.6 / 1.5)


def test_boxes_share_what_they_share():
    assert shared(seen(1).box, seen(1).box) == 1.0
    assert shared(seen(1).box, seen(1, 50).box) == pytest.approx(1 / 3)
    assert shared(seen(1).box, seen(1, 100).box) == 0.0
    assert shared(np.zeros(4), np.zeros(4)) == 0.0


@given(
    st.floats(-3, 3),
    st.floats(0.2, 5),
    st.floats(-500, 500),
    st.floats(-500, 500),
)
def test_a_similarity_is_found_again(angle, scale, right, down):
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    there = PLACES @ turn.T + (right, down)
    matrix = similarity(PLACES, there)
    assert matrix[:, :2] == pytest.approx(turn, abs=1e-6)
    assert matrix[:, 2] == pytest.approx([right, down], abs=1e-4)


def test_points_in_one_place_have_no_similarity():
    with pytest.raises(ValueError):
        similarity(np.ones((4, 2)), PLACES[:4])


def test_a_chip_shows_its_place_even_beyond_the_edge():
    picture = np.zeros((60, 80, 3), np.uint8)
    picture[:, 40:] = 200
    same = chip(picture, np.array([[1.0, 0, 20], [0, 1.0, 10]]), 40)
    assert np.array_equal(same, picture[10:50, 20:60])
    outside = chip(picture, np.array([[1.0, 0, 500], [0, 1.0, 500]]), 8)
    assert (outside == 200).all()


def test_a_chip_of_a_large_place_averages_what_lies_between():
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 200
    small = chip(stripes, np.array([[4.0, 0, 40], [0, 4.0, 40]]), 64)
    assert np.abs(small.astype(int) - 100).max() <= 12


class Answers:
    """A session that answers the looks in turn with what was prepared, then with nothing."""

    def __init__(self, *answers: np.ndarray) -> None:
        self._answers = list(answers)

    def run(self, batch):
        nothing = np.full(896 * 17, -9, np.float32)
        return (self._answers.pop(0) if self._answers else nothing)[None]


def answer(logit: float, *, x: float = 128.0, side: float = 57.0) -> np.ndarray:
    """One face whose box has its middle at ``x``, 128."""
    rows = np.full((896, 17), -9, np.float32)
    rows[0] = 0
    rows[0, :5] = (logit, x - 8, 120, side, side)
    rows[0, 5:] = np.array([[-12, -10], [12, -10], [0, 2], [0, 14], [-25, 0], [25, 0]]).ravel()
    rows[0, 5:] += np.tile((x - 8, 120), 6)
    return rows.ravel()


def found(*answers: np.ndarray) -> int:
    finder = FaceFinder()
    finder._session = Answers(*answers)
    return len(finder.find(np.zeros((128, 128, 3), np.uint8)).faces)


def test_a_face_needs_all_three_looks():
    assert found(answer(2.5), answer(2.0), answer(2.0)) == 1
    assert found(answer(2.5)) == 0
    assert found(answer(2.5), answer(2.0)) == 0
    assert found(answer(-0.5), answer(2.0), answer(2.0)) == 0


def test_a_face_must_be_likely_in_the_worse_look_and_in_the_mean():
    assert found(answer(2.5), answer(2.0), answer(0.1)) == 0
    assert found(answer(0.1), answer(0.5), answer(0.5)) == 0


def test_a_second_look_that_sees_a_face_elsewhere_confirms_nothing():
    assert found(answer(2.5), answer(2.0, x=190), answer(2.0, x=190)) == 0
    assert found(answer(2.5), answer(2.0, side=180), answer(2.0, side=180)) == 0


def test_more_candidates_than_are_looked_at_are_admitted():
    rows = np.full((896, 17), -9, np.float32)
    rows[:, 1:] = 0
    rows[0 : 2 * (MAX_CANDIDATES + 1) : 2, 0] = 2.0
    rows[:, 3:5] = 6
    finder = FaceFinder()
    finder._session = Answers(rows.ravel())
    assert not finder.find(np.zeros((128, 128, 3), np.uint8)).whole
