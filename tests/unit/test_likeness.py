"""Templates, the registry, and what the face judge makes of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety.face_enrolment import Enrolment, EnrolmentRefused, Refusal, fault_of
from safety.face_judge import MAX_COMPARED, FaceJudge
from safety.faces import Face, FacesFound
from safety.likeness import (
    TOLD_FROM,
    Enrolled,
    FaceRegistry,
    TemplatesRefused,
    packed,
    score_of,
    unpacked,
)
from safety.pictures import PictureNote
from safety.verdict import Category

PUBLIC, PRIVATE = Category.PUBLIC_FIGURE, Category.PRIVATE_LIKENESS
MAKER = bytes(range(32))
FRAME = np.random.default_rng(5).integers(0, 256, (400, 400, 3)).astype(np.uint8)


def vector(*, shift: float = 0.0) -> np.ndarray:
    out = np.full(128, 0.1, np.float32)
    out[0] += shift
    return out


VECTOR = vector()


def enrolled(subject: str = "ada", *, category=PRIVATE, shift: float = 0.0) -> Enrolled:
    return Enrolled(subject=subject, category=category, templates=vector(shift=shift)[None])


def face(*, left: float = 100.0, side: float = 120.0, turn: float = 0.0) -> Face:
    """A face whose points lie as those of a real one; ``turn`` moves its nose aside."""
    eye = side / 2.3
    middle = left + side / 2
    points = [
        (middle - eye / 2, 140),
        (middle + eye / 2, 140),
        (middle + turn * eye, 140 + eye * 0.6),
        (middle, 140 + eye * 1.1),
        (left, 150),
        (left + side, 150),
    ]
    box = np.array([left, 100.0, left + side, 100.0 + side])
    return Face(score=0.9, box=box, points=np.array(points, np.float64))


class Faces:
    """A finder that finds what it was given."""

    def __init__(self, *faces: Face, whole: bool = True) -> None:
        self._found = FacesFound(faces=faces, whole=whole)

    def find(self, frame):
        return self._found


class Vectors:
    """An embedding that answers with these, one after the other, then again from the first."""

    def __init__(self, *vectors: np.ndarray) -> None:
        self._vectors = vectors
        self.asked = 0

    def of_chip(self, chip):
        self.asked += 1
        return self._vectors[(self.asked - 1) % len(self._vectors)]

    def of_face(self, frame, face):
        return self.of_chip(frame)


def judge(registry: FaceRegistry, *faces: Face, whole: bool = True, vectors=(VECTOR,)):
    return FaceJudge(
        registry=lambda: registry,
        finder=Faces(*faces, whole=whole),
        embedding=Vectors(*vectors),
    )


# --- scores and matching --------------------------------------------------------------


def test_the_score_of_dlibs_own_distance_is_that_of_a_review():
    assert score_of(0.6) == pytest.approx(0.6)
    assert score_of(0.4) == pytest.approx(0.9)
    assert score_of(0.0) == 1.0
    assert score_of(5.0) == 0.0


@given(st.floats(0, 3), st.floats(0, 3))
def test_a_larger_distance_never_has_a_higher_score(one, other):
    near, far = sorted((one, other))
    assert score_of(near) >= score_of(far)


@pytest.mark.parametrize("distance", [float("nan"), -0.1])
def test_what_is_no_distance_has_no_score(distance):
    with pytest.raises(ValueError):
        score_of(distance)


def test_everybody_who_is_close_enough_is_named_likeliest_first():
    registry = FaceRegistry(
        people=(
            enrolled("far", shift=0.9),
            enrolled("near", shift=0.5, category=PUBLIC),
            enrolled("same", shift=0.01),
        )
    )
    found = registry.matches(vector())
    assert [(one.category, one.subject) for one in found] == [
        (PRIVATE, "same"),
        (PUBLIC, "near"),
    ]
    assert found[0].score > 0.9 > found[1].score > TOLD_FROM


def test_the_nearest_template_of_a_person_counts():
    person = Enrolled(
        subject="ada", category=PRIVATE, templates=np.stack([vector(shift=2), vector()])
    )
    (named,) = FaceRegistry(people=(person, enrolled(shift=0.5))).matches(vector())
    assert named.score == 1.0


@pytest.mark.parametrize("wrong", [np.zeros(64), np.full(128, np.nan)])
def test_what_is_no_face_vector_is_refused(wrong):
    with pytest.raises(ValueError):
        FaceRegistry(people=(enrolled(),)).matches(wrong.astype(np.float32))


def test_the_digest_changes_with_every_part_and_not_with_the_order():
    one, two = enrolled(), enrolled("bo", shift=1)
    base = FaceRegistry(people=(one, two)).digest
    assert FaceRegistry(people=(two, one)).digest == base
    others = [
        FaceRegistry(),
        FaceRegistry(people=(one,)),
        FaceRegistry(people=(replace(one, subject="eve"), two)),
        FaceRegistry(people=(replace(one, category=PUBLIC), two)),
        FaceRegistry(people=(replace(one, templates=one.templates + 0.001), two)),
    ]
    assert len({base, *(registry.digest for registry in others)}) == 1 + len(others)


def test_templates_are_neither_shown_nor_changed():
    person = enrolled()
    assert "0.1" not in repr(person)
    assert "0.1" not in repr(FaceRegistry(people=(person,)))
    with pytest.raises(ValueError):
        person.templates[0, 0] = 1


@pytest.mark.parametrize(
    "change",
    [
        {"category": Category.HATE},
        {"subject": ""},
        {"subject": "x" * 201},
        {"templates": np.zeros((0, 128))},
        {"templates": np.zeros((17, 128))},
        {"templates": np.zeros((1, 127))},
        {"templates": np.full((1, 128), np.nan)},
        {"templates": np.full((1, 128), np.inf)},
    ],
)
def test_what_could_not_be_compared_is_not_enrolled(change):
    with pytest.raises(ValueError):
        replace(enrolled(), **change)


# --- stored templates -----------------------------------------------------------------


def test_templates_come_back_as_they_were():
    rows = np.random.default_rng(1).normal(size=(3, 128)).astype(np.float32)
    assert np.array_equal(unpacked(packed(rows, maker=MAKER), maker=MAKER), rows)


def test_templates_of_other_models_are_refused():
    stored = packed(vector()[None], maker=MAKER)
    with pytest.raises(TemplatesRefused, match="other models"):
        unpacked(stored, maker=bytes(32))


@given(st.integers(0, 5 + 32 + 4 + 512), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_stays_numbers(place, change):
    stored = bytearray(packed(vector()[None], maker=MAKER))
    stored[min(place, len(stored) - 1)] ^= change
    try:
        rows = unpacked(bytes(stored), maker=MAKER)
    except TemplatesRefused:
        return
    assert rows.shape == (1, 128)
    assert np.isfinite(rows).all()


@given(st.binary(max_size=700))
def test_any_other_bytes_are_refused(content):
    with pytest.raises(TemplatesRefused):
        unpacked(content, maker=MAKER)


def test_what_is_no_template_is_not_packed():
    with pytest.raises(ValueError):
        packed(np.full((1, 128), np.nan, np.float32), maker=MAKER)
    with pytest.raises(ValueError):
        packed(vector()[None], maker=b"short")


# --- the judge ------------------------------------------------------------------------


def test_without_enrolled_people_faces_are_noted_and_nothing_is_compared():
    vectors = Vectors(vector())
    one = FaceJudge(finder=Faces(face()), embedding=vectors)
    (row,) = one.score(FRAME[None])
    assert row.notes == {PictureNote.FACE}
    assert row.scores == {PRIVATE: 0.0, PUBLIC: 0.0}
    assert (row.named, vectors.asked) == ((), 0)


def test_a_picture_without_a_face_has_no_note():
    (row,) = judge(FaceRegistry(people=(enrolled(),))).score(FRAME[None])
    assert (row.notes, row.named) == (frozenset(), ())
    assert row.scores == {PRIVATE: 0.0, PUBLIC: 0.0}


def test_a_person_is_named_once_with_the_best_score():
    registry = FaceRegistry(people=(enrolled(),))
    two = judge(registry, face(), face(left=240), vectors=(vector(shift=0.5), vector()))
    (row,) = two.score(FRAME[None])
    assert [(one.subject, one.score) for one in row.named] == [("ada", 1.0)]


def test_a_face_too_small_to_be_known_is_noted_only():
    (row,) = judge(FaceRegistry(people=(enrolled(),)), face(side=30)).score(FRAME[None])
    assert (row.notes, row.named) == ({PictureNote.FACE}, ())


def test_more_faces_than_are_compared_leave_the_likeness_unjudged():
    registry = FaceRegistry(people=(enrolled(),))
    crowd = judge(registry, *[face()] * (MAX_COMPARED + 1))
    (row,) = crowd.score(FRAME[None])
    assert row.scores == {}
    assert [one.subject for one in row.named] == ["ada"]
    (row,) = judge(registry, face(), whole=False).score(FRAME[None])
    assert row.scores == {}


def test_a_picture_not_looked_at_whole_counts_as_one_with_a_face():
    (row,) = judge(FaceRegistry(), whole=False).score(FRAME[None])
    assert row.notes == {PictureNote.FACE}


def test_the_name_follows_the_registry():
    current = [FaceRegistry()]
    one = FaceJudge(registry=lambda: current[0], finder=Faces(), embedding=Vectors())
    before = one.name
    current[0] = FaceRegistry(people=(enrolled(),))
    assert one.name != before
    assert one.name == f"faces@1.0.0+enrolled.{current[0].digest}"


def test_a_registry_that_cannot_be_read_lets_nothing_be_judged():
    def broken() -> FaceRegistry:
        raise OSError

    one = FaceJudge(registry=broken, finder=Faces(face()), embedding=Vectors(vector()))
    assert one.name == "faces@1.0.0+enrolled.unreadable"
    with pytest.raises(OSError):
        one.score(FRAME[None])


def test_wrong_arrays_are_refused():
    with pytest.raises(ValueError):
        judge(FaceRegistry()).score(FRAME)


# --- enrolment ------------------------------------------------------------------------


def enrolment(*faces: Face, whole: bool = True, vectors=(VECTOR,)) -> Enrolment:
    return Enrolment(finder=Faces(*faces, whole=whole), embedding=Vectors(*vectors))


def refusal(one: Enrolment, *pictures: np.ndarray) -> Refusal:
    with pytest.raises(EnrolmentRefused) as caught:
        one.templates(pictures)
    assert str(caught.value).endswith(".")
    return caught.value.refusal


def test_each_good_picture_gives_one_template():
    rows = enrolment(face()).templates([FRAME, FRAME])
    assert rows.shape == (2, 128)
    assert rows.dtype == np.float32
    Enrolled(subject="ada", category=PRIVATE, templates=rows)


def test_a_template_is_the_mean_of_the_face_and_its_mirror_image():
    (row,) = enrolment(face(), vectors=(vector(), vector(shift=0.2))).templates([FRAME])
    assert row == pytest.approx(vector(shift=0.1))


def test_exactly_one_face_is_enrolled():
    assert refusal(enrolment(face())) is Refusal.NO_PICTURE
    assert refusal(enrolment(face()), *[FRAME] * 17) is Refusal.TOO_MANY_PICTURES
    assert refusal(enrolment(), FRAME) is Refusal.NO_FACE
    assert refusal(enrolment(face(), face(left=230)), FRAME) is Refusal.SEVERAL_FACES
    assert refusal(enrolment(face(), whole=False), FRAME) is Refusal.SEVERAL_FACES


def test_pictures_of_different_people_are_refused():
    two = enrolment(face(), vectors=(vector(), vector(), vector(shift=1), vector(shift=1)))
    assert refusal(two, FRAME, FRAME) is Refusal.DIFFERENT_PEOPLE


def test_a_poor_picture_is_refused_with_its_number():
    grey = np.full_like(FRAME, 90)
    with pytest.raises(EnrolmentRefused) as caught:
        enrolment(face()).templates([FRAME, grey])
    assert (caught.value.refusal, caught.value.picture) == (Refusal.TOO_FLAT, 1)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (face(), None),
        (face(side=80), Refusal.TOO_SMALL),
        (face(left=-80), Refusal.CUT_OFF),
        (face(left=330), Refusal.CUT_OFF),
        (face(turn=0.8), Refusal.TURNED_AWAY),
        (face(turn=-0.8), Refusal.TURNED_AWAY),
    ],
)
def test_a_face_must_be_large_whole_and_turned_to_the_camera(shown, expected):
    assert fault_of(FRAME, shown) is expected


def test_a_blurred_face_is_refused():
    y, x = np.mgrid[0:400, 0:400]
    smooth = np.stack([(x + y) * 255 / 800] * 3, axis=2).astype(np.uint8)
    assert fault_of(smooth, face()) is Refusal.TOO_BLURRED
