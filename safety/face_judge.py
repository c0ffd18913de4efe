"""The face judge: says where faces are shown, and which enrolled people they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from safety.face_embedding import FaceEmbedding
from safety.faces import Face, FaceFinder
from safety.likeness import ENROLLABLE, FaceRegistry
from safety.moderation import Named
from safety.pictures import PictureScores
from safety.sampling import Frame, Frames, check_frames
from safety.verdict import Category, PictureNote

MIN_SIDE = 40.0
"""The smallest face, in pixels of its box, that is compared with enrolled people."""

MAX_COMPARED = 16
"""How many faces of one picture are compared, largest first."""


class FaceJudge:
    """Notes faces, and names enrolled people with a score per picture.

    ``registry`` gives the people as they are enrolled now; it is asked once per ``score`` and
    whenever the name is, which holds its digest. Both likeness categories score 0.0 in every
    picture in which all large faces were compared; who was recognised is in ``named``, where a
    consent can lift it. With more faces than are compared, both are left out. It never says
    how old anybody is.
    """

    categories = ENROLLABLE

    def __init__(
        self,
        *,
        registry: Callable[[], FaceRegistry] = FaceRegistry,
        threads: int = 1,
        finder: FaceFinder | None = None,
        embedding: FaceEmbedding | None = None,
    ) -> None:
        self._registry = registry
        self._finder = finder or FaceFinder(threads=threads)
        self._embedding = embedding or FaceEmbedding(threads=threads)

    @property
    def name(self) -> str:
        """``faces@1.0.0`` with the digest of the registry; never raises."""
        try:
            digest = self._registry().digest
        except Exception:  # noqa: BLE001 - score raises, and the gate then holds
            digest = "unreadable"
        return f"faces@1.0.0+enrolled.{digest}"

    def load(self) -> None:
        """Verifies and opens the weights now; raises WeightsMissing when that fails."""
        self._finder.load()
        self._embedding.load()

    def score(self, frames: Frames) -> Sequence[PictureScores]:
        """One row per picture of ``frames`` (uint8[T,H,W,3], RGB).

        Raises WeightsMissing, ValueError for a wrong array, RuntimeError for a failed model,
        and whatever the registry raises.
        """
        check_frames(frames)
        registry = self._registry()
        return tuple(self._row(frame, registry) for frame in frames)

    def _row(self, frame: Frame, registry: FaceRegistry) -> PictureScores:
        found = self._finder.find(frame)
        # More candidates than are looked at twice: faces, as far as anybody knows.
        shown = bool(found.faces) or not found.whole
        notes = frozenset({PictureNote.FACE} if shown else ())
        large = [face for face in found.faces if face.side >= MIN_SIDE]
        judged = not registry.people or (found.whole and len(large) <= MAX_COMPARED)
        named = self._named(frame, large[:MAX_COMPARED], registry) if registry.people else ()
        scores = dict.fromkeys(ENROLLABLE, 0.0) if judged else {}
        return PictureScores(scores=scores, notes=notes, named=named)

    def _named(
        self, frame: Frame, faces: Sequence[Face], registry: FaceRegistry
    ) -> tuple[Named, ...]:
        best: dict[tuple[Category, str], Named] = {}
        for face in faces:
            for named in registry.matches(self._embedding.of_face(frame, face)):
                key = (named.category, named.subject)
                if key not in best or best[key].score < named.score:
                    best[key] = named
        return tuple(best.values())
