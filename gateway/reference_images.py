"""The gate for reference images: what must hold before a picture may begin a clip."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from gateway.findings import Finding
from gateway.media.picture import StillPicture, decode_picture
from gateway.verify import Report as OriginReport
from gateway.witnesses import Frames
from safety.circumstances import STRICTEST, Circumstances
from safety.frames import FrameClassifier, FrameGate, FrameReport
from safety.hash_list import MATCHED, HashFinding, HashLists
from safety.likeness import ENROLLABLE
from safety.moderation import Named
from safety.pictures import PictureScores
from safety.policy import FAULT_RULE, Policy
from safety.verdict import Category, PictureNote, Reason, Stage, Verdict

STILL_FPS = 1.0
LIKENESS = Category.PRIVATE_LIKENESS
UNCLEAR_ORIGINS = frozenset({Finding.COULD_NOT_CHECK, Finding.EVIDENCE_DISAGREES})
"""Origins with which a picture waits for a person; all others only inform."""


class FacesSeen(Protocol):
    """The faces in a picture; ``whole`` is False when there may be more."""

    @property
    def faces(self) -> Sequence[object]: ...

    @property
    def whole(self) -> bool: ...


class FaceSource(Protocol):
    """Finds faces; ``safety.faces.FaceFinder`` is the real one."""

    def find(self, frame: Frames) -> FacesSeen:
        """The faces in a picture (uint8[H,W,3], RGB)."""
        ...


class OriginSource(Protocol):
    """Says where a picture comes from; ``gateway.origins`` has the real one."""

    def of(self, path: Path, picture: StillPicture) -> OriginReport:
        """The report on a file, whose picture was decoded already."""
        ...


@dataclass(frozen=True, kw_only=True)
class ReferenceReport:
    """The verdict on a picture, with what it rests on.

    ``hashes`` is None when the lists could not be asked, ``origin`` when nobody could say.
    ``people`` were recognised by face. ``picture`` is all that may be used of the file, and
    only if the verdict allows it.
    """

    verdict: Verdict
    picture: StillPicture = field(repr=False)
    sha256: str
    frame: FrameReport
    hashes: HashFinding | None
    origin: OriginReport | None
    people: tuple[Named, ...]

    @property
    def lists(self) -> tuple[str, ...]:
        """The hash lists that know the picture, for operators only."""
        return () if self.hashes is None else tuple(one.name for one in self.hashes.listed)


@dataclass(frozen=True, kw_only=True)
class ReferenceGate:
    """Judges a picture that a clip is to begin with. Allowed only when all of this holds:

    1. It decodes, in a confined process, as one still picture within the limits.
    2. The frame gate allows it as a clip of one frame.
    3. No hash list knows it, in any of eight positions, and its hash is good enough to say so.
    4. Its origin could be checked, and the evidence does not contradict itself.
    5. Each face is that of a person who is recognised and whose consent is on record for
       this request. Without ``faces``, which finds them, no picture with a face passes.

    What fails or cannot be judged holds it; nothing here makes a verdict milder.
    """

    frames: FrameGate
    lists: Callable[[], HashLists]
    origin: OriginSource
    scratch: Path
    decode: Callable[[Path], StillPicture] = decode_picture
    faces: FaceSource | None = None

    def judge(
        self, content: bytes, *, circumstances: Circumstances = STRICTEST
    ) -> ReferenceReport:
        """The report on the bytes of a file. Raises Unreadable when 1 does not hold."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self.scratch) as folder:
            path = Path(folder).resolve() / "reference"
            path.write_bytes(content)
            return self.judge_file(path, circumstances=circumstances)

    def judge_file(
        self, path: Path, *, circumstances: Circumstances = STRICTEST
    ) -> ReferenceReport:
        """The report on a file, which is read, never written and never kept."""
        # 1
        picture = self.decode(path)
        # 2
        heard = [_Heard(classifier) for classifier in self.frames.classifiers]
        frame = replace(self.frames, classifiers=tuple(heard)).report(
            iter([picture.pixels[None]]), fps=STILL_FPS, circumstances=circumstances
        )
        reasons = list(frame.verdict.reasons)
        # 3
        hashes, version = self._hashes(picture)
        reasons += self._of_hashes(hashes, circumstances)
        # 4
        origin = self._origin(path, picture)
        if origin is None or origin.finding in UNCLEAR_ORIGINS:
            reasons.append(self._fault())
        # 5
        people = _people(heard)
        shown = PictureNote.FACE in frame.notes
        reasons += self._of_faces(picture, people, shown=shown, circumstances=circumstances)
        return ReferenceReport(
            verdict=_together(frame.verdict, reasons, f"hash-lists@{version}"),
            picture=picture,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            frame=frame,
            hashes=hashes,
            origin=origin,
            people=people,
        )

    @property
    def _policy(self) -> Policy:
        return self.frames.policy

    def _fault(self, category: Category | None = None) -> Reason:
        return self._policy.fault(category, Stage.FRAMES)

    def _hashes(self, picture: StillPicture) -> tuple[HashFinding | None, str]:
        try:
            lists = self.lists()
            return lists.find(picture.pixels), lists.digest
        except Exception:  # noqa: BLE001 - lists that cannot be asked know nothing
            return None, "unavailable"

    def _of_hashes(
        self, found: HashFinding | None, circumstances: Circumstances
    ) -> Iterator[Reason]:
        if found is None:
            yield self._fault()
            return
        for listed in found.listed:
            yield from self._listed(listed.category, circumstances)
        if found.searched and not found.telling:
            yield self._fault()

    def _listed(self, category: Category, circumstances: Circumstances) -> tuple[Reason, ...]:
        """What the policy says of a certain offence: where it judges no pictures for it, what
        it says of words; where it judges neither, the picture waits.
        """
        for stage in (Stage.FRAMES, Stage.PROMPT):
            if self._policy.rules[category].at(stage) is None:
                continue
            verdict = self._policy.judge(
                {category: MATCHED}, stage=stage, judges=(), circumstances=circumstances
            )
            return tuple(
                replace(reason, stage=Stage.FRAMES)
                for reason in verdict.reasons
                if reason.category is category and reason.rule != FAULT_RULE
            )
        return (self._fault(category),)

    def _origin(self, path: Path, picture: StillPicture) -> OriginReport | None:
        try:
            return self.origin.of(path, picture)
        except Exception:  # noqa: BLE001 - an origin that raises was not checked
            return None

    def _of_faces(
        self,
        picture: StillPicture,
        people: Sequence[Named],
        *,
        shown: bool,
        circumstances: Circumstances,
    ) -> Iterator[Reason]:
        try:
            seen = None if self.faces is None else self.faces.find(picture.pixels)
        except Exception:  # noqa: BLE001 - a face that was not found may be anybody's
            yield self._fault()
            return
        count = 0 if seen is None else len(seen.faces)
        if not shown and count == 0 and (seen is None or seen.whole):
            return
        agreed = {
            person.subject
            for person in people
            if person.grant in circumstances.grants
            and self._policy.rules[person.category].may_lift(circumstances.audience)
        }
        if seen is not None and seen.whole and 0 < count <= len(agreed):
            return
        rule = self._policy.rules[LIKENESS]
        yield replace(self._fault(LIKENESS), rule=rule.rule, text=rule.text)


class _Heard:
    """A classifier, and what it said."""

    def __init__(self, classifier: FrameClassifier) -> None:
        self._classifier = classifier
        self.rows: list[PictureScores] = []

    @property
    def name(self) -> str:
        return self._classifier.name

    @property
    def categories(self) -> frozenset[Category]:
        return self._classifier.categories

    def score(self, frames: Frames) -> Sequence[PictureScores]:
        rows = tuple(self._classifier.score(frames))
        self.rows.extend(rows)
        return rows


def _people(heard: Sequence[_Heard]) -> tuple[Named, ...]:
    """Who was recognised by a judge that saw a face, not by one that read a name."""
    return tuple(
        dict.fromkeys(
            named
            for each in heard
            for row in each.rows
            if PictureNote.FACE in row.notes
            for named in row.named
            if named.category in ENROLLABLE
        )
    )


def _together(verdict: Verdict, reasons: Sequence[Reason], judge: str) -> Verdict:
    """The verdict with all reasons, the strictest first; never milder than it was."""
    ordered = sorted(dict.fromkeys(reasons), key=lambda reason: -reason.action.severity)
    actions = [verdict.action, *(reason.action for reason in ordered)]
    return replace(
        verdict,
        action=max(actions, key=lambda action: action.severity),
        reasons=tuple(ordered),
        judges=(*verdict.judges, judge),
    )
