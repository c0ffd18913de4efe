"""Reading text in pictures without a model: boxes, cut-outs, letters, order."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from safety.ocr import SEARCH_PIXELS, TextReader, laid_out, search_input
from safety.ocr_boxes import TextBox, cut_out, text_boxes
from safety.ocr_letters import LINE_HEIGHT, MAX_WIDTH, alphabet, decoded, line_input, line_width
from safety.ocr_page import Line, Page

LETTERS = ("", "a", "b", "c", " ")


def marked(*, top: int, left: int, height: int, width: int, value: float = 0.9) -> np.ndarray:
    likely = np.zeros((200, 300), np.float32)
    likely[top : top + height, left : left + width] = value
    return likely


def box(
    left: float, top: float, width: float, height: float, certainty: float = 0.9
) -> TextBox:
    right, bottom = left + width, top + height
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    return TextBox(corners=corners, certainty=0.9)


def line(text: str, left: float, top: float, width: float = 100, height: float = 20) -> Line:
    return Line(text=text, certainty=0.9, box=box(left, top, width, height))


def texts(*lines: Line) -> tuple[str, ...]:
    return Page(lines=lines).texts


# --- boxes ---------------------------------------------------------------------------------


def test_a_box_is_grown_by_area_over_outline_on_each_side():
    (found,) = text_boxes(marked(top=60, left=50, height=20, width=100), size=(200, 300))
    # Dilation adds a point above and on the left; corners lie on the middles of points.
    across, down = 100.0, 20.0
    grow = across * down * 1.6 / (2 * (across + down))
    assert found.width == pytest.approx(across + 2 * grow, abs=1.0)
    assert found.height == pytest.approx(down + 2 * grow, abs=1.0)
    assert found.certainty > 0.75


def test_a_box_is_told_in_pixels_of_the_picture():
    likely = marked(top=60, left=50, height=20, width=100)
    (small,) = text_boxes(likely, size=(200, 300))
    (large,) = text_boxes(likely, size=(400, 1200))
    assert large.corners == tuple((4 * x, 2 * y) for x, y in small.corners)


@pytest.mark.parametrize("value", [0.29, 0.45])
def test_a_faint_mark_is_no_box(value):
    likely = marked(top=60, left=50, height=20, width=100, value=value)
    assert text_boxes(likely, size=(200, 300)) == []


def test_a_slanted_mark_gives_a_slanted_box_from_its_upper_left_on():
    likely = np.zeros((200, 300), np.float32)
    slanted = cv2.boxPoints(((150.0, 100.0), (160.0, 24.0), 20.0))
    cv2.fillPoly(likely, [slanted.astype(np.int32)], 0.9)
    (found,) = text_boxes(likely, size=(200, 300))
    (x0, y0), (x1, y1), _, (_, y3) = found.corners
    assert x0 < x1
    assert y1 - y0 == pytest.approx(np.tan(np.deg2rad(20)) * (x1 - x0), abs=6)
    assert y3 > y0
    assert found.width > 3 * found.height


def test_a_cut_out_stands_upright():
    picture = np.zeros((200, 300, 3), np.uint8)
    picture[90:110, 60:150] = (255, 0, 0)
    picture[90:110, 150:240] = (0, 0, 255)
    turned = cv2.warpAffine(picture, cv2.getRotationMatrix2D((150, 100), -20, 1.0), (300, 200))
    corners = cv2.boxPoints(((150.0, 100.0), (180.0, 20.0), 20.0))
    ordered = corners[[1, 2, 3, 0]] if corners[1][0] < corners[2][0] else corners
    found = TextBox(corners=tuple((float(x), float(y)) for x, y in ordered), certainty=1.0)
    cut = cut_out(turned, found)
    assert cut.shape[1] > 8 * cut.shape[0]
    assert cut[10, 30, 0] > 200 > 60 > cut[10, 30, 2]
    assert cut[10, -30, 2] > 200 > 60 > cut[10, -30, 0]


@settings(deadline=None, max_examples=60)
@given(
    arrays(
        np.float32,
        st.tuples(st.integers(1, 40), st.integers(1, 40)),
        elements=st.floats(0, 1, width=32),
    ),
    st.tuples(st.integers(1, 999), st.integers(1, 999)),
)
def test_boxes_of_any_map_lie_in_the_picture(likely, size):
    for found in text_boxes(likely, size=size):
        for x, y in found.corners:
            assert 0 <= x <= size[1] - 1
            assert 0 <= y <= size[0] - 1
        cut = cut_out(np.zeros((*size, 3), np.uint8), found)
        assert min(cut.shape) >= 1


# --- letters -------------------------------------------------------------------------------


def steps(*classes: int, certainty: float = 0.8) -> np.ndarray:
    rest = (1 - certainty) / (len(LETTERS) - 1)
    rows = np.full((len(classes), len(LETTERS)), rest, np.float32)
    rows[np.arange(len(classes)), classes] = certainty
    return rows


def test_repeated_letters_are_one_unless_a_blank_parts_them():
    assert decoded(steps(1, 1, 0, 1, 2, 2, 4, 3), LETTERS).text == "aab c"


def test_certainty_is_the_mean_over_the_letters_kept():
    rows = np.concatenate((steps(1, certainty=0.6), steps(0), steps(2, certainty=1.0)))
    assert decoded(rows, LETTERS).certainty == pytest.approx(0.8)


def test_blanks_alone_read_as_nothing_and_are_certain_of_nothing():
    reading = decoded(steps(0, 0, 0), LETTERS)
    assert (reading.text, reading.certainty) == ("", 0.0)


def test_another_number_of_classes_than_letters_is_refused():
    with pytest.raises(RuntimeError):
        decoded(np.ones((3, 7), np.float32), LETTERS)


def test_the_alphabet_has_a_blank_before_and_a_space_behind():
    assert alphabet("a\nb\n中") == ("", "a", "b", "中", " ")
    with pytest.raises(ValueError):
        alphabet("")


def test_a_line_is_blue_first_from_minus_one_to_one_with_grey_behind():
    cut = np.zeros((24, 60, 3), np.uint8)
    cut[..., 0] = 255
    row = line_input(cut)
    assert row.shape == (1, 3, LINE_HEIGHT, 160)
    assert row.dtype == np.float32
    assert (row[0, 2, :, :120] == 1.0).all()
    assert (row[0, 0, :, :120] == -1.0).all()
    assert (row[0, :, :, 120:] == 0.0).all()


def test_the_longest_line_has_a_bounded_cost():
    assert line_width(np.zeros((2, 9000, 3), np.uint8)) == MAX_WIDTH


# --- the picture ---------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(720, 1280), (1280, 720), (900, 900), (4000, 6000), (40, 9)])
def test_the_search_costs_the_same_for_every_picture(size):
    prepared = search_input(np.zeros((*size, 3), np.uint8))
    rows, columns = prepared.shape[2:]
    assert rows % 32 == columns % 32 == 0
    assert rows * columns <= 1.25 * SEARCH_PIXELS


def test_the_search_sees_blue_first_from_minus_one_to_one():
    frame = np.zeros((416, 736, 3), np.uint8)
    frame[..., 2] = 255
    prepared = search_input(frame)
    assert prepared.shape == (1, 3, 416, 736)
    assert (prepared[0, 0] == 1.0).all()
    assert (prepared[0, 1:] == -1.0).all()


def test_a_column_of_letters_is_laid_out_as_a_row():
    column = np.zeros((150, 40, 3), np.uint8)
    for number, level in enumerate((80, 160, 240)):
        column[number * 50 + 8 : number * 50 + 42, 8:32] = level
    row = laid_out(column)
    assert row.shape[1] == 40 * round(150 / 40)
    levels = [int(part.max()) for part in np.array_split(row, 4, axis=1)]
    assert levels == sorted(levels)
    assert 240 in levels


def test_a_reader_opens_nothing_before_it_is_asked(tmp_path):
    from safety.cards import WeightsMissing

    reader = TextReader(detector=tmp_path, recogniser=tmp_path)
    assert reader.name == "ppocrv6_small@3.10.0"
    with pytest.raises(WeightsMissing):
        reader.load()


# --- order ---------------------------------------------------------------------------------


def test_words_of_a_line_and_lines_of_a_text_are_joined_in_reading_order():
    found = texts(
        line("the sea", 10, 60),
        line("bread", 120, 30),
        line("fresh", 10, 32),
        line("by", 120, 61),
    )
    assert found == ("fresh bread the sea by",)


def test_signs_far_apart_are_texts_of_their_own_and_one_together():
    assert texts(line("EXIT", 700, 400), line("BAKERY", 10, 10)) == (
        "BAKERY",
        "EXIT",
        "BAKERY\nEXIT",
    )


def test_a_headline_is_no_part_of_the_small_print():
    assert texts(line("BIG", 10, 10, 300, 60), line("small", 10, 75, 80, 18))[:2] == (
        "BIG",
        "small",
    )


def test_letters_that_stand_on_each_other_are_a_word():
    column = [line(c, 300, 10 + 30 * n, 22, 26) for n, c in enumerate("HELLO")]
    assert texts(*reversed(column))[:2] == ("H E L L O", "HELLO")


def test_a_slanted_line_stays_one_line():
    words = []
    for number, word in enumerate(("one", "two", "three", "four")):
        left, top = 100.0 * number, 12.0 * number
        corners = ((left, top), (left + 90, top + 11), (left + 90, top + 31), (left, top + 20))
        words.append(
            Line(text=word, certainty=0.9, box=TextBox(corners=corners, certainty=0.9))
        )
    words.append(line("below", 10, 45))
    assert texts(*words) == ("one two three four below",)


def test_a_page_is_whole_unless_something_legible_was_not_read():
    assert Page().empty
    assert Page().whole
    assert not Page(unread=(box(0, 0, 90, 30),)).whole
    assert not Page(left_out=(box(0, 0, 90, 30),)).empty
