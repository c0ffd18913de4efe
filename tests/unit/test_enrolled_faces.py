"""Enrolled faces: receipts, revocation, deletion, and clips that show somebody."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from gateway.audit.log import SqlAuditLog
from gateway.cli.faces import Kind
from gateway.cli.main import app
from gateway.cli.records import Liftable
from gateway.db import Database
from gateway.enrolled_faces import EnrolledFaces, Enrolling
from gateway.errors import InvalidRequest, NotFound
from gateway.tables import AuditOutbox, EnrolledFaceRow
from safety.circumstances import STRICTEST, Circumstances, Grant
from safety.face_embedding import SIZE, FaceEmbedding
from safety.face_judge import FaceJudge
from safety.faces import Face, FacesFound
from safety.frames import FrameGate
from safety.gazetteer import GazetteerInvalid, ProtectedName
from safety.likeness import ENROLLABLE, TemplatesRefused
from safety.pictures import PictureScores
from safety.policy import POLICY_PATH, Policy
from safety.sampling import Frame, Frames
from safety.soundness import LIFTABLE
from safety.verdict import Action, Category, Verdict
from tests.contract.test_face_models import packaged

PRIVATE, PUBLIC = Category.PRIVATE_LIKENESS, Category.PUBLIC_FIGURE
EVIDENCE = hashlib.sha256(b"I agree.").hexdigest()


def vectors(*starts: float) -> np.ndarray:
    out = np.zeros((len(starts), SIZE), np.float32)
    out[:, 0] = starts
    return out


def person(subject: str = "ana-b", category: Category = PRIVATE, **other: str) -> Enrolling:
    said = {
        "evidence_sha256": EVIDENCE,
        "evidence_reference": "cabinet 3",
        "enrolled_by": "rita",
        **other,
    }
    return Enrolling(category=category, subject=subject, **said)


@pytest.fixture
def registry(database: Database, audit_log: SqlAuditLog, clock: Any) -> EnrolledFaces:
    return EnrolledFaces(database, lambda: audit_log, clock)


def test_who_is_enrolled_is_recognised_until_it_ends(registry: EnrolledFaces) -> None:
    assert registry.in_force().people == ()
    receipt = registry.enrol(person(), vectors(1.0, 1.1))
    (enrolled,) = registry.in_force().people
    assert (enrolled.subject, enrolled.category) == ("ana-b", PRIVATE)
    np.testing.assert_array_equal(enrolled.templates, vectors(1.0, 1.1))
    assert registry.is_enrolled(PRIVATE, "ana-b")
    ended = registry.remove(receipt.id, by="rita")
    assert registry.in_force().people == ()
    assert not registry.is_enrolled(PRIVATE, "ana-b")
    assert ended.ended_at is not None
    assert registry.receipt(receipt.id) == ended
    assert ended.digest == receipt.digest
    with pytest.raises(NotFound):
        registry.remove(receipt.id, by="rita")


def test_another_process_sees_it_at_once(
    registry: EnrolledFaces, database: Database, audit_log: SqlAuditLog, clock: Any
) -> None:
    elsewhere = EnrolledFaces(database, lambda: audit_log, clock)
    assert elsewhere.in_force().people == ()
    receipt = registry.enrol(person(), vectors(1.0))
    assert len(elsewhere.in_force().people) == 1
    registry.remove(receipt.id, by="rita")
    assert elsewhere.in_force().people == ()


def test_nothing_of_a_face_stays_when_it_ends(
    registry: EnrolledFaces, database: Database
) -> None:
    receipt = registry.enrol(person(), vectors(1.0))
    registry.remove(receipt.id, by="rita")
    with database.read() as session:
        (kept,) = session.scalars(sa.select(EnrolledFaceRow.templates))
    assert kept == b""


def test_the_log_has_the_receipt_and_neither_name_nor_face(
    registry: EnrolledFaces, database: Database
) -> None:
    receipt = registry.enrol(person(), vectors(1.0))
    with database.read() as session:
        (event,) = session.scalars(sa.select(AuditOutbox))
        said = event.leaf.decode() if isinstance(event.leaf, bytes) else str(event.leaf)
    assert receipt.digest in said
    assert EVIDENCE in said
    assert "ana-b" not in said
    assert "cabinet" not in said


@pytest.mark.parametrize(
    "wrong",
    [
        person("Ana B"),
        person(""),
        person(category=Category.HATE),
        person(evidence_sha256="yes"),
        person(evidence_reference=""),
        person(enrolled_by=""),
    ],
)
def test_an_enrolment_needs_an_id_and_evidence(
    registry: EnrolledFaces, wrong: Enrolling
) -> None:
    with pytest.raises(InvalidRequest):
        registry.enrol(wrong, vectors(1.0))
    assert registry.list() == ()


def test_nobody_is_enrolled_twice(registry: EnrolledFaces) -> None:
    first = registry.enrol(person(), vectors(1.0))
    with pytest.raises(InvalidRequest, match="already"):
        registry.enrol(person(), vectors(2.0))
    registry.enrol(person(category=PUBLIC), vectors(1.0))
    registry.remove(first.id, by="rita")
    registry.enrol(person(), vectors(2.0))
    assert len(registry.list()) == 2


def test_a_private_person_has_a_face_and_no_list_of_names() -> None:
    with pytest.raises(GazetteerInvalid):
        ProtectedName(category=PRIVATE, subject="ana-b", name="Ana Bell")


def test_the_commands_offer_exactly_what_can_be_enrolled_and_lifted() -> None:
    assert {kind.value for kind in Kind} == {each.value for each in ENROLLABLE}
    assert {kind.value for kind in Liftable} == {each.value for each in LIFTABLE}


# --- clips ------------------------------------------------------------------------------


class OneFace:
    """Finds one large face in every picture that is not black."""

    def load(self) -> None:
        """Nothing to open."""

    def find(self, picture: Frame) -> FacesFound:
        points = np.array([[40, 50], [80, 50], [60, 70], [60, 90], [30, 60], [90, 60]], float)
        face = Face(score=0.9, box=np.array([20.0, 20.0, 100.0, 100.0]), points=points)
        return FacesFound(faces=(face,) if picture.any() else (), whole=True)


class BrightnessEmbedding(FaceEmbedding):
    """The vector of a face is how bright the picture is: people are told apart by that."""

    def of_face(self, picture: Frame, face: Face) -> np.ndarray:
        return vectors(float(picture.mean()) / 100)[0]


class Unconcerned:
    """Sees nothing of anything else in any picture."""

    name = "unconcerned@1"
    categories = frozenset(Category) - {PRIVATE, PUBLIC}

    def load(self) -> None:
        """Nothing to open."""

    def score(self, frames: Frames) -> Sequence[PictureScores]:
        row = PictureScores(scores=dict.fromkeys(self.categories, 0.0))
        return (row,) * len(frames)


def verdict(registry: EnrolledFaces, bright: Sequence[int], *agreed: str) -> Verdict:
    judge = FaceJudge(
        registry=registry.in_force, finder=OneFace(), embedding=BrightnessEmbedding()
    )
    gate = FrameGate(
        classifiers=(judge, Unconcerned()), watchers=(), policy=Policy.load(POLICY_PATH)
    )
    clip = np.stack([np.full((128, 128, 3), value, np.uint8) for value in bright])
    grants = frozenset(Grant(category=PRIVATE, subject=subject) for subject in agreed)
    circumstances = Circumstances(at=STRICTEST.at, grants=grants) if agreed else STRICTEST
    return gate.report(iter([clip]), fps=24.0, circumstances=circumstances).verdict


def test_a_clip_that_shows_an_enrolled_person_is_stopped_until_they_agree(
    registry: EnrolledFaces,
) -> None:
    assert verdict(registry, [100] * 24).action is Action.ALLOW
    receipt = registry.enrol(person(), vectors(1.0))
    stopped = verdict(registry, [100] * 24)
    assert stopped.action is Action.BLOCK
    assert [reason.category for reason in stopped.reasons] == [PRIVATE]
    assert verdict(registry, [200] * 24).action is Action.ALLOW
    assert verdict(registry, [100] * 24, "somebody-else").action is Action.BLOCK
    assert verdict(registry, [100] * 24, "ana-b").action is Action.ALLOW
    registry.remove(receipt.id, by="rita")
    assert verdict(registry, [100] * 24).action is Action.ALLOW


def test_templates_that_cannot_be_compared_hold_every_clip(
    registry: EnrolledFaces, database: Database
) -> None:
    registry.enrol(person(), vectors(1.0))
    with database.write() as session:
        session.execute(sa.update(EnrolledFaceRow).values(templates=b"CGFT"))
    fresh = EnrolledFaces(database, lambda: pytest.fail("asked for the log"), lambda: None)
    with pytest.raises(TemplatesRefused):
        fresh.in_force()
    assert verdict(fresh, [200] * 24).action is Action.REVIEW


# --- the command line -------------------------------------------------------------------


def run(folder: Path, *arguments: str, code: int = 0) -> Any:
    done = CliRunner().invoke(app, ["--data-dir", str(folder), *arguments])
    assert done.exit_code == code, done.output
    return done


def test_a_person_is_enrolled_agrees_and_is_forgotten(tmp_path: Path) -> None:
    picture, document = tmp_path / "a.png", tmp_path / "consent.txt"
    cv2.imwrite(str(picture), packaged("astronaut.png")[:, :, ::-1])
    document.write_text("I agree.")
    paper = ("--evidence", str(document), "--reference", "cabinet 3", "--by", "rita")
    folder = tmp_path / "data"
    kind = ("--category", "private_likeness")
    made = run(folder, "faces", "enrol", "ana-b", str(picture), *kind, *paper, "--json")
    receipt = json.loads(made.stdout)
    assert (receipt["subject"], receipt["pictures"]) == ("ana-b", 1)
    assert receipt["evidence_sha256"] == EVIDENCE
    (listed,) = json.loads(run(folder, "faces", "list", "--json").stdout)
    assert listed == receipt
    scope = ("--scope", "in our films", "--tenant", "local")
    run(folder, "records", "add", "ana-b", *kind, *scope, *paper)
    run(folder, "records", "add", "nobody", *kind, *scope, *paper, code=6)
    run(folder, "faces", "remove", receipt["id"], "--by", "rita")
    assert json.loads(run(folder, "faces", "list", "--json").stdout) == []
    ended = json.loads(run(folder, "faces", "receipt", receipt["id"], "--json").stdout)
    assert ended["ended_at"]
    assert ended["receipt_sha256"] == receipt["receipt_sha256"]
    run(folder, "audit", "check")


def test_a_picture_without_a_face_enrols_nobody_and_says_so(tmp_path: Path) -> None:
    picture, document = tmp_path / "a.png", tmp_path / "consent.txt"
    cv2.imwrite(str(picture), np.full((300, 300, 3), 120, np.uint8))
    document.write_text("I agree.")
    paper = ("--evidence", str(document), "--reference", "cabinet 3")
    told = run(
        tmp_path / "data",
        *("faces", "enrol", "ana-b", str(picture), "--category", "public_figure"),
        *paper,
        code=6,
    )
    assert "No face was found" in told.output
    assert "a.png" in told.output
