"""The face models compute what their authors' code does, and see a face where one is."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest

from safety.cards import WeightsCard, WeightsMissing
from safety.face_anchors import SIDE, detections
from safety.face_embedding import EMBEDDING_FOLDER, LAYOUT, FaceEmbedding, face_chip, maker
from safety.face_enrolment import Enrolment, EnrolmentRefused, Refusal
from safety.face_judge import FaceJudge
from safety.faces import DETECTOR_FOLDER, FaceFinder, detector_input
from safety.likeness import Enrolled, FaceRegistry
from safety.verdict import Category, PictureNote
from tests.unit.drawn_faces import drawn_face, on_canvas, ovals

FINDER = FaceFinder()
EMBEDDING = FaceEmbedding()
PUBLIC, PRIVATE = Category.PUBLIC_FIGURE, Category.PRIVATE_LIKENESS

# seed: anchor with the highest logit and the start of its row, computed with TensorFlow.js
# 4.22.0 (CPU) from blazeface.json and .bin of npm @vladmandic/human 3.3.6.
TENSORFLOW_JS = {
    1: (560, (-2.264, 8.832, 22.397, 93.659, 93.649, -27.794, 13.720)),
    2: (129, (-1.283, -0.931, -7.223, 68.143, 68.143, -16.334, -6.908)),
}
# seed: start of the vector, computed with dlib 20.0.1 from the original .dat.
DLIB = {
    1: (-0.0484, 0.1203, 0.0821, -0.0234, -0.0752, -0.0632),
    2: (-0.1089, 0.1400, 0.0981, -0.0802, -0.0896, 0.0050),
}


def packaged(name: str) -> np.ndarray:
    """A picture of scikit-image by file, uint8[H,W,3] RGB."""
    spec = importlib.util.find_spec("skimage")
    assert spec is not None
    assert spec.origin is not None
    found = cv2.imread(str(Path(spec.origin).parent / "data" / name))
    assert found is not None
    return np.ascontiguousarray(found[:, :, ::-1])


@pytest.mark.parametrize("seed", TENSORFLOW_JS)
def test_the_detector_computes_what_tensorflow_js_computes(seed):
    answer = FINDER._session.run(detector_input(ovals(seed, SIDE))[None])[0].reshape(-1, 17)
    anchor, row = TENSORFLOW_JS[seed]
    assert answer[:, 0].argmax() == anchor
    assert answer[anchor, : len(row)] == pytest.approx(row, abs=0.01)


@pytest.mark.parametrize("seed", DLIB)
def test_the_embedding_computes_what_dlib_computes(seed):
    vector = EMBEDDING.of_chip(ovals(seed, 150))
    assert vector[:6] == pytest.approx(DLIB[seed], abs=0.001)


@pytest.mark.parametrize(
    ("folder", "file"),
    [
        (DETECTOR_FOLDER, "blazeface.onnx"),
        (EMBEDDING_FOLDER, "dlib_face_recognition_resnet_v1.onnx"),
    ],
)
def test_the_cards_list_their_files_and_say_what_is_not_known(folder, file):
    card = WeightsCard.load(folder)
    assert file in card.files
    assert card.limits
    assert (folder / "LICENSE").is_file()


def test_weights_that_differ_from_their_card_are_not_opened(tmp_path):
    card = (EMBEDDING_FOLDER / "card.toml").read_bytes()
    (tmp_path / "card.toml").write_bytes(card)
    (tmp_path / "dlib_face_recognition_resnet_v1.onnx").write_bytes(b"other")
    with pytest.raises(WeightsMissing):
        FaceEmbedding(folder=tmp_path).load()
    with pytest.raises(WeightsMissing):
        FaceFinder(folder=tmp_path).load()


def test_faces_lie_in_the_chip_as_dlib_lays_them():
    # dlib, image_transforms/interpolation.h, get_face_chip_details: the mean face (eyes, tip
    # of the nose, mouth), with a padding of 0.25 around it.
    mean_face = np.array(
        [(0.2273, 0.2214), (0.7528, 0.2212), (0.4901, 0.5156), (0.4901, 0.785)]
    )
    assert np.abs(LAYOUT - (mean_face + 0.25) / 1.5 * 150).max() < 1.5


def test_templates_that_are_stored_now_can_be_read_later():
    # Whoever changes this makes every enrolled person enrol again.
    assert maker().hex()[:16] == "570f638cf3f3728c"


def test_the_maker_changes_with_the_weights(tmp_path):
    text = (EMBEDDING_FOLDER / "card.toml").read_text()
    digest = WeightsCard.load(EMBEDDING_FOLDER).files["dlib_face_recognition_resnet_v1.onnx"]
    (tmp_path / "card.toml").write_text(text.replace(digest, "ab" * 32))
    assert len(maker()) == 32
    assert maker(embedding=tmp_path) != maker()


def test_the_face_of_a_photograph_is_found_where_it_is():
    (face,) = FINDER.find(packaged("astronaut.png")).faces
    right_eye, left_eye, nose, mouth = face.points[:4]
    assert right_eye == pytest.approx((203, 107), abs=6)
    assert left_eye == pytest.approx((248, 107), abs=6)
    assert right_eye[1] < nose[1] < mouth[1]
    assert face.score > 0.8


@pytest.mark.parametrize("name", ["chelsea.png", "coffee.png", "rocket.jpg", "horse.png"])
def test_the_second_look_drops_what_is_no_face(name):
    picture = packaged(name)
    # The first look alone is wrong about every one of them.
    assert FINDER.candidates(picture) or name != "chelsea.png"
    assert FINDER.find(picture).faces == ()


@pytest.mark.parametrize("size", [1.2, 0.3])
def test_a_drawn_face_is_found_at_any_size_and_place(size):
    picture = on_canvas(drawn_face(size), top=90, left=770)
    (face,) = FINDER.find(picture).faces
    eyes = face.points[:2] - (770, 90)
    centre = drawn_face(size).shape[0] / 2
    assert eyes[:, 0] == pytest.approx(
        (centre - 30 * size, centre + 30 * size), abs=5 * size + 2
    )


def test_an_empty_picture_holds_no_face():
    assert FINDER.find(np.zeros((1, 1, 3), np.uint8)).faces == ()
    assert FINDER.find(np.full((720, 1280, 3), 128, np.uint8)).faces == ()


def test_a_face_stays_the_same_person_when_the_picture_is_worse():
    picture = packaged("astronaut.png")[:300, 60:400]
    small = cv2.resize(picture, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    written = cv2.imencode(".jpg", small[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 40])[1]
    worse = np.ascontiguousarray(cv2.imdecode(written, cv2.IMREAD_COLOR)[:, :, ::-1])
    drawing = on_canvas(drawn_face(1.0), top=100, left=100)
    one, same, other = (
        EMBEDDING.of_face(each, FINDER.find(each).faces[0])
        for each in (picture, worse, drawing)
    )
    assert np.linalg.norm(one - same) < 0.4
    assert np.linalg.norm(one - other) > 0.6


def test_the_chip_turns_a_face_upright():
    picture = on_canvas(drawn_face(1.0), top=200, left=400)
    (face,) = FINDER.find(picture).faces
    turn = cv2.getRotationMatrix2D((640.0, 360.0), 25.0, 1.0)
    turned = cv2.warpAffine(picture, turn, (1280, 720))
    (slanted,) = FINDER.find(turned).faces
    apart = np.abs(face_chip(picture, face) - face_chip(turned, slanted).astype(float))
    assert apart[20:130, 20:130].mean() < 12


def test_an_enrolled_face_is_named_and_a_stranger_is_not():
    picture = on_canvas(drawn_face(1.0), top=100, left=100)
    vector = EMBEDDING.of_face(picture, FINDER.find(picture).faces[0])
    registry = FaceRegistry(
        people=(
            Enrolled(subject="drawn", category=PRIVATE, templates=vector[None]),
            Enrolled(subject="stranger", category=PUBLIC, templates=-vector[None]),
        )
    )
    judge = FaceJudge(registry=lambda: registry, finder=FINDER, embedding=EMBEDDING)
    shown, empty = judge.score(np.stack([picture, np.zeros_like(picture)]))
    (named,) = shown.named
    assert (named.category, named.subject) == (PRIVATE, "drawn")
    assert named.score > 0.95
    assert shown.notes == {PictureNote.FACE}
    assert shown.scores == {PRIVATE: 0.0, PUBLIC: 0.0}
    assert (empty.notes, empty.named, empty.scores) == (frozenset(), (), shown.scores)


def test_the_answer_of_another_model_is_refused():
    with pytest.raises(RuntimeError):
        detections(np.zeros(17, np.float32), least=0.5)
    with pytest.raises(RuntimeError):
        detections(np.full(896 * 17, np.nan, np.float32), least=0.5)


def test_a_real_portrait_can_be_enrolled_and_is_recognised_smaller():
    portrait = packaged("astronaut.png")[:300, 60:400]
    rows = Enrolment(finder=FINDER, embedding=EMBEDDING).templates([portrait])
    ada = Enrolled(subject="ada", category=PUBLIC, templates=rows)
    small = cv2.resize(portrait, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    frame = on_canvas(np.ascontiguousarray(small[:, ::-1]), top=300, left=900)
    registry = FaceRegistry(people=(ada,))
    judge = FaceJudge(registry=lambda: registry, finder=FINDER, embedding=EMBEDDING)
    (named,) = judge.score(frame[None])[0].named
    assert named.subject == "ada"
    assert named.score >= 0.9


def test_a_blurred_portrait_cannot_be_enrolled():
    blurred = cv2.GaussianBlur(packaged("astronaut.png")[:300, 60:400], (0, 0), 4)
    with pytest.raises(EnrolmentRefused) as caught:
        Enrolment(finder=FINDER, embedding=EMBEDDING).templates([blurred])
    assert caught.value.refusal in {Refusal.TOO_BLURRED, Refusal.NO_FACE}
