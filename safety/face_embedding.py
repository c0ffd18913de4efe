"""The face embedding: a face as a vector that is close to others of the same person.

The network is Davis King's ResNet-29 of dlib (2017) with CC0 weights; dlib itself is not used.
It was trained on faces that are turned upright and lie in its picture as dlib lays them; here
the points of the face detector take the place of dlib's landmarks.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from safety.cards import WeightsCard, WeightsMissing
from safety.face_chips import Points, chip, similarity
from safety.faces import DETECTOR_FILE, DETECTOR_FOLDER, Face
from safety.onnx_session import VerifiedSession
from safety.sampling import Frame

EMBEDDING_FOLDER = Path(__file__).parent / "weights" / "face_embedding"
EMBEDDING_FILE = "dlib_face_recognition_resnet_v1.onnx"
SIZE = 128
CHIP_SIDE = 150

LAYOUT = np.array([[48.4, 46.45], [100.4, 46.45], [74.2, 77.4], [74.0, 102.9]])
"""Where right eye, left eye, nose and mouth of the detector lie in dlib's chip, in pixels.

Medians over faces that dlib's own five-point landmarks had aligned, made symmetric.
"""

LAYOUT_VERSION = 1

Vector = NDArray[np.float32]


class FaceEmbedding:
    """Turns faces into vectors, float32[128]; two of one person are seldom 0.6 apart.

    ``threads`` is how many threads may compute; ``folder`` holds card and weights.
    """

    label = "face_embedding@1.0.0"

    def __init__(self, *, threads: int = 1, folder: Path = EMBEDDING_FOLDER) -> None:
        self._session = VerifiedSession(
            label=self.label,
            card_folder=folder,
            folder=lambda: folder,
            filename=EMBEDDING_FILE,
            threads=threads,
        )

    def load(self) -> None:
        """Verifies and opens the weights now; raises WeightsMissing when that fails."""
        self._session.open()

    def of_face(self, frame: Frame, face: Face) -> Vector:
        """The vector of one face in ``frame`` (uint8[H,W,3], RGB).

        Raises WeightsMissing, and RuntimeError when the answer is not a number.
        """
        return self.of_chip(face_chip(frame, face))

    def of_chip(self, picture: Frame) -> Vector:
        """The vector of a chip (uint8[150,150,3], RGB) as ``face_chip`` cuts it."""
        if picture.shape != (CHIP_SIDE, CHIP_SIDE, 3) or picture.dtype != np.uint8:
            raise ValueError("A chip is uint8[150,150,3].")
        answer = self._session.run(picture[None].astype(np.float32))
        if answer.shape == (1, SIZE) and np.isfinite(answer).all():
            return np.asarray(answer[0], np.float32)
        raise RuntimeError("The face embedding did not answer with 128 numbers.")


def face_chip(frame: Frame, face: Face) -> Frame:
    """uint8[150,150,3]: the face upright, as the network knows faces."""
    return chip(frame, to_picture(face), CHIP_SIDE)


def to_picture(face: Face) -> Points:
    """float64[2,3]: from the chip to the picture; raises ValueError for a face without size."""
    matrix = similarity(face.points[:4], LAYOUT)
    turn = np.linalg.inv(matrix[:, :2])
    return np.column_stack([turn, -turn @ matrix[:, 2]])


def maker(*, detector: Path = DETECTOR_FOLDER, embedding: Path = EMBEDDING_FOLDER) -> bytes:
    """32 bytes that name everything a vector depends on: both models and the layout.

    Vectors of different makers must never be compared. Raises WeightsMissing.
    """
    digest = hashlib.sha256(b"cinegate face vector\0" + bytes((LAYOUT_VERSION,)))
    for folder, filename in ((detector, DETECTOR_FILE), (embedding, EMBEDDING_FILE)):
        sha256 = WeightsCard.load(folder).files.get(filename)
        if sha256 is None:
            raise WeightsMissing("The card does not list the weights.")
        digest.update(bytes.fromhex(sha256))
    return digest.digest()
