"""Registered logos are found again, named as subjects, and nothing else is."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from safety.logos import MAX_LOGOS, Logo, LogoMatcher, LogoUnusable, read_logos
from safety.verdict import Category
from tests.bench.logos import made_logo, with_logo

BRAND = Category.IP_CHARACTER_BRAND
LOGOS = [Logo.parse(f"made-{seed}", made_logo(seed)) for seed in (0, 3, 4)]
MATCHER = LogoMatcher(LOGOS)


def ground(seed: int) -> np.ndarray:
    coarse = np.random.default_rng([1, seed]).integers(0, 256, (9, 16, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (1280, 720), interpolation=cv2.INTER_CUBIC))


def shown(seed: int, **how: float) -> np.ndarray:
    rng = np.random.default_rng([2, seed])
    return with_logo(ground(seed), made_logo(seed), rng, **{"size": 0.35, "turn": 15.0, **how})


@pytest.mark.parametrize("seed", [0, 3, 4])
def test_a_registered_logo_in_a_picture_is_named_with_its_subject(seed):
    (row,) = MATCHER.score(shown(seed)[None])
    assert [(named.category, named.subject) for named in row.named] == [(BRAND, f"made-{seed}")]
    assert row.named[0].score >= 0.6


def test_the_score_of_a_named_logo_is_not_among_the_scores_a_record_cannot_lift():
    (row,) = MATCHER.score(shown(4)[None])
    assert row.named
    assert row.scores == {BRAND: 0.0}


def test_a_logo_turned_upside_down_or_printed_in_negative_is_found_too():
    assert MATCHER.places(shown(4, turn=180.0))
    assert MATCHER.places(255 - shown(4))


def test_other_logos_and_plain_pictures_name_nobody():
    pictures = [ground(7), shown(11), shown(12), np.zeros((720, 1280, 3), np.uint8)]
    assert [row.named for row in MATCHER.score(np.stack(pictures))] == [()] * 4


def test_a_logo_is_found_where_it_is():
    (place,) = MATCHER.places(shown(3))
    rng = np.random.default_rng([2, 3])
    alone = with_logo(np.zeros((720, 1280, 3), np.uint8), made_logo(3), rng, size=0.35, turn=15)
    rows, columns = alone.any(2).nonzero()
    assert place.corners.mean(0) == pytest.approx(
        [(columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2], abs=40
    )


def test_a_matcher_without_logos_judges_nothing_instead_of_clearing():
    matcher = LogoMatcher(())
    assert matcher.categories == frozenset()
    assert matcher.score(ground(1)[None])[0].scores == {}


def test_the_name_of_the_matcher_tells_which_logos_it_knows():
    assert LogoMatcher(LOGOS).name == MATCHER.name
    assert LogoMatcher(LOGOS[:2]).name != MATCHER.name


@pytest.mark.parametrize("shape", [(1, 1), (3, 900), (16, 16), (41, 7)])
def test_pictures_of_odd_sizes_are_judged(shape):
    rng = np.random.default_rng(4)
    frames = rng.integers(0, 256, (1, *shape, 3)).astype(np.uint8)
    assert MATCHER.score(frames)[0].named == ()


def png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("subject", "content"),
    [
        ("Made Up", made_logo(0)),
        ("../made", made_logo(0)),
        ("plain", png(Image.new("RGB", (300, 300), (200, 0, 0)))),
        ("empty", png(Image.new("RGBA", (300, 300)))),
        ("broken", made_logo(0)[:900]),
        ("text", b"no picture"),
        ("large", b"\x89PNG" + bytes(5 * 1024**2)),
        ("bomb", png(Image.new("L", (20_000, 9_000)))),
    ],
)
def test_a_file_that_is_no_logo_to_look_for_is_refused(subject, content):
    with pytest.raises(LogoUnusable):
        Logo.parse(subject, content)


def test_logos_are_read_from_a_folder_by_the_names_of_their_files(tmp_path):
    (tmp_path / "made-0.png").write_bytes(made_logo(0))
    (tmp_path / "notes.txt").write_text("not a logo")
    assert [logo.subject for logo in read_logos(tmp_path)] == ["made-0"]
    with pytest.raises(LogoUnusable):
        read_logos(tmp_path / "missing")


def test_the_number_of_logos_is_bounded_and_each_subject_has_one():
    with pytest.raises(ValueError, match="At most"):
        LogoMatcher([LOGOS[0]] * (MAX_LOGOS + 1))
    with pytest.raises(ValueError, match="one logo"):
        LogoMatcher([LOGOS[0], LOGOS[0]])
