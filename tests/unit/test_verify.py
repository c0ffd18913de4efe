"""The verifier on witnesses that say, or fail to say, anything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.audit.entry import Event, EventKind
from gateway.audit.log import SqlAuditLog
from gateway.db import Database
from gateway.meanings import Technique
from gateway.media.sandbox import Unreadable
from gateway.provenance.credentials import Credentials
from gateway.verify import Finding, Report, Verifier
from gateway.witnesses import Compared, RegisteredClip
from watermark.fingerprint.maker import Onlooker
from watermark.fingerprint.match import Match
from watermark.fingerprint.query import Query
from watermark.payload import Payload
from watermark.reading import Reading, Span, nothing

pytestmark = pytest.mark.one_database

ALGORITHM = "org.example.cinegate.wm.1"
CLIP = "00c0ffee00c0ffee"
OTHER = "0123456789abcdef"
VIDEO = "video_1"
AI = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
CAMERA = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
MANIFEST = "urn:c2pa:1"
OURS = Credentials(
    state="trusted",
    ours=True,
    signer="Example Studio",
    digital_source_types=(AI,),
    soft_bindings=((ALGORITHM, f"1*{CLIP}"),),
    manifest_id=MANIFEST,
)
ABSENT = Credentials(state="absent")


def marked(clip_id: str = CLIP, **changes: Any) -> Reading:
    plain = Reading(
        payload=Payload.from_hex(clip_id),
        certain=True,
        log10_p=-12.3,
        key_id="k1",
        mode="self_contained",
        geometry=None,
        spans=(Span(start=0.0, end=1.0, pilot_score=8.0),),
        frames_read=24,
        pilot_score=8.0,
        algorithm=ALGORITHM,
    )
    return replace(plain, **changes)


UNMARKED = nothing(algorithm=ALGORITHM, frames_read=24, pilot_score=0.3)
DOUBTFUL = marked(certain=False, log10_p=-2.0)


NOTHING_ALIKE = Compared(enough_detail=True, matches=(), clips=1, released=1)


def alike(clip_id: str = CLIP, **changes: Any) -> Compared:
    plain = Match(
        clip_id=clip_id,
        similarity=0.871,
        log10_p=-8.6,
        pairs=12,
        mirrored=False,
        start=0.25,
        end=0.75,
    )
    return replace(NOTHING_ALIKE, matches=(replace(plain, **changes),))


@dataclass
class Stand:
    """Witnesses that a test may change; anything that is an exception is raised."""

    log: SqlAuditLog
    clock: Callable[[], Any]
    credentials: Credentials | Exception = ABSENT
    reading: Reading | Exception = UNMARKED
    likeness: Compared | Exception = NOTHING_ALIKE
    registry: dict[str, RegisteredClip] | Exception = field(default_factory=dict)
    opening: Exception | None = None
    reading_on: Exception | None = None
    container: str = "mp4"
    looked_at: tuple[tuple[float, float], ...] = ((0.0, 1.0),)
    name: str = ALGORITHM

    def read(self, source: Path) -> Credentials:
        assert source.is_file()
        return _or_raise(self.credentials)

    def extract(
        self, chunks: Iterable[Any], *, fps: float, candidates: Collection[Payload] = ()
    ) -> Reading:
        assert sum(len(chunk) for chunk in chunks) == 24
        assert fps == 24.0
        assert all(isinstance(one, Payload) for one in candidates)
        return _or_raise(self.reading)

    def onlooker(self) -> Onlooker:
        return Onlooker()

    def compare(self, query: Query) -> Compared:
        assert not query.enough_detail
        return _or_raise(self.likeness)

    def find(self, clip_id: str) -> RegisteredClip | None:
        return _or_raise(self.registry).get(clip_id)

    def candidates(self) -> Collection[Payload]:
        return [Payload.from_hex(text) for text in _or_raise(self.registry)]

    @contextmanager
    def decode(self, _path: Path) -> Iterator[Any]:
        if self.opening is not None:
            raise self.opening

        def chunks() -> Iterator[Any]:
            yield np.zeros((16, 64, 64, 3), np.uint8)
            if self.reading_on is not None:
                raise self.reading_on
            yield np.zeros((8, 64, 64, 3), np.uint8)

        info = SimpleNamespace(container=self.container, fps=24.0)
        yield SimpleNamespace(info=info, chunks=chunks(), looked_at=self.looked_at)

    def verify(self, path: Path) -> Report:
        report = Verifier(
            credentials=self,
            watermark=self,
            looks=self,
            registry=self,
            log=self.log,
            decode=self.decode,
            clock=self.clock,
        ).verify(path)
        json.dumps(report.to_dict(), allow_nan=False)
        return report


def _or_raise(value: Any) -> Any:
    if isinstance(value, Exception):
        raise value
    return value


def clip(**changes: Any) -> RegisteredClip:
    plain = RegisteredClip(
        clip_id=CLIP,
        video_id=VIDEO,
        state="released",
        sha256="ab" * 32,
        manifest_id=MANIFEST,
        released_at=None,
        audit_index=0,
    )
    return replace(plain, **changes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "clip.mp4"
    file.write_bytes(b"bytes of a clip")
    return file


@pytest.fixture
def stand(database: Database, audit_log: SqlAuditLog, clock: Callable[[], Any]) -> Stand:
    with database.write() as session:
        audit_log.record(
            session,
            Event(
                id=f"{VIDEO}:publish:video.published",
                kind=EventKind.VIDEO_PUBLISHED,
                subject=VIDEO,
                facts={"clip_id": CLIP, "sha256": "ab" * 32},
            ),
        )
    audit_log.sequence()
    return Stand(log=audit_log, clock=clock, registry={CLIP: clip()})


def test_a_clip_of_ours_is_made_here_with_all_of_its_evidence(stand: Stand, path: Path) -> None:
    stand.credentials, stand.reading = OURS, marked()
    report = stand.verify(path)
    assert (report.finding, report.clip_id) == (Finding.MADE_HERE, CLIP)
    shown = report.to_dict()
    assert {name: item["result"] for name, item in shown["evidence"].items()} == {
        "content_credentials": "ours",
        "watermark": "found",
        "fingerprint": "nothing_like_it",
        "log": "recorded",
    }
    assert shown["evidence"]["content_credentials"]["details"]["names_clip"] == CLIP
    assert shown["evidence"]["watermark"]["details"]["spans"] == [[0.0, 1.0]]
    assert shown["evidence"]["log"]["details"]["index"] == 0
    assert shown["evidence"]["log"]["details"]["same_bytes"] is False
    assert shown["content_sha256"] == hashlib.sha256(b"bytes of a clip").hexdigest()
    assert shown["looked_at"] == [[0.0, 1.0]]
    assert shown["detector"]["name"] == "cinegate"
    assert shown["unreadable"] is None


def test_without_its_credentials_it_is_still_made_here(stand: Stand, path: Path) -> None:
    stand.reading = marked()
    report = stand.verify(path)
    assert report.finding is Finding.MADE_HERE_CREDENTIALS_REMOVED
    assert report.clip_id == CLIP
    assert report.evidence[Technique.LOG].details["manifest_id"] == MANIFEST


def test_a_clip_that_its_owner_deleted_was_still_made_here(stand: Stand, path: Path) -> None:
    stand.registry, stand.reading = {CLIP: clip(state="deleted")}, marked()
    report = stand.verify(path)
    assert report.finding is Finding.MADE_HERE_CREDENTIALS_REMOVED
    assert report.evidence[Technique.LOG].details["manifest_id"] is None


def test_a_clip_that_was_withdrawn_was_made_here_and_taken_back(
    stand: Stand, path: Path, database: Database
) -> None:
    stand.registry, stand.reading = {CLIP: clip(state="deleted")}, marked()
    entry = Event(
        id=f"{VIDEO}:withdraw:video.withdrawn",
        kind=EventKind.VIDEO_WITHDRAWN,
        subject=VIDEO,
        facts={"clip_id": CLIP, "reason": "rights"},
    )
    with database.write() as session:
        stand.log.record(session, entry)
    stand.log.sequence()
    report = stand.verify(path)
    assert report.finding is Finding.MADE_HERE_CREDENTIALS_REMOVED
    assert report.sentence.startswith("Made with AI, here")
    assert report.sentence.endswith("Somebody holds rights in what it shows.")
    assert "It was withdrawn on 20" in report.sentence
    assert report.evidence[Technique.LOG].details["withdrawn"]["reason"] == "rights"
    stand.credentials = Credentials(state="invalid")
    assert "withdrawn" not in stand.verify(path).sentence, "that file is not that clip"
    stand.credentials = ABSENT
    # A row that was put back hides nothing: the log is asked.
    stand.registry = {CLIP: clip()}
    assert "withdrawn" in stand.verify(path).sentence


def test_the_register_alone_takes_nothing_back(stand: Stand, path: Path) -> None:
    stand.registry, stand.reading = {CLIP: clip(state="deleted")}, marked()
    assert "withdrawn" not in stand.verify(path).sentence


def test_a_withdrawal_that_cannot_be_read_is_could_not_check(
    stand: Stand, path: Path, database: Database
) -> None:
    """A reason of a later release, or a log that is damaged: not 'nothing is known'."""
    stand.reading = marked()
    entry = Event(
        id=f"{VIDEO}:withdraw:video.withdrawn",
        kind=EventKind.VIDEO_WITHDRAWN,
        subject=VIDEO,
        facts={"clip_id": CLIP, "reason": "of a later release"},
    )
    with database.write() as session:
        stand.log.record(session, entry)
    stand.log.sequence()
    assert stand.verify(path).finding is Finding.COULD_NOT_CHECK


@pytest.mark.parametrize(
    "known",
    [
        {},
        {CLIP: clip(state="in_progress")},
        {CLIP: clip(state="refused")},
        {CLIP: clip(audit_index=None)},
        {CLIP: clip(audit_index=7)},
        {CLIP: clip(sha256="cd" * 32)},
        {CLIP: clip(video_id="video_2")},
        {CLIP: clip(clip_id=OTHER)},
    ],
)
@pytest.mark.parametrize("credentials", [OURS, ABSENT])
def test_a_mark_without_a_matching_log_entry_is_a_contradiction(
    stand: Stand, path: Path, known: dict[str, RegisteredClip], credentials: Credentials
) -> None:
    stand.registry, stand.reading, stand.credentials = known, marked(), credentials
    assert stand.verify(path).finding is Finding.EVIDENCE_DISAGREES


@pytest.mark.parametrize(
    "credentials",
    [
        replace(OURS, soft_bindings=((ALGORITHM, f"1*{OTHER}"),)),
        replace(OURS, soft_bindings=()),
        replace(OURS, soft_bindings=OURS.soft_bindings * 2),
        replace(OURS, soft_bindings=(("org.other.wm.1", f"1*{CLIP}"),)),
        replace(OURS, digital_source_types=(CAMERA,)),
        replace(OURS, manifest_id="urn:c2pa:2"),
        Credentials(state="invalid", failures=("assertion.bmffHash.mismatch",)),
        Credentials(state="trusted", signer="A camera", digital_source_types=(CAMERA,)),
        Credentials(state="valid", signer="Forger", digital_source_types=(AI,)),
        Credentials(state="valid"),
    ],
)
def test_credentials_that_do_not_fit_the_mark_are_a_contradiction(
    stand: Stand, path: Path, credentials: Credentials
) -> None:
    stand.credentials, stand.reading = credentials, marked()
    report = stand.verify(path)
    assert report.finding is Finding.EVIDENCE_DISAGREES
    assert report.clip_id == CLIP


@pytest.mark.parametrize("reading", [UNMARKED, DOUBTFUL])
def test_our_credentials_on_a_picture_without_their_mark_are_a_contradiction(
    stand: Stand, path: Path, reading: Reading
) -> None:
    stand.credentials, stand.reading = OURS, reading
    report = stand.verify(path)
    assert report.finding is Finding.EVIDENCE_DISAGREES
    assert report.clip_id == CLIP  # the one that the credentials name
    assert "spans" not in report.to_dict()["evidence"]["watermark"]["details"]


@pytest.mark.parametrize(
    ("credentials", "finding"),
    [
        (ABSENT, Finding.UNKNOWN),
        (
            Credentials(state="trusted", signer="Studio", digital_source_types=(AI,)),
            Finding.MADE_ELSEWHERE,
        ),
        (
            Credentials(state="valid", signer="Anybody", digital_source_types=(CAMERA, AI)),
            Finding.MADE_ELSEWHERE,
        ),
        (
            Credentials(state="trusted", signer="A camera", digital_source_types=(CAMERA,)),
            Finding.RECORDED_NOT_AI,
        ),
        (Credentials(state="trusted", digital_source_types=(CAMERA,)), Finding.UNKNOWN),
        (Credentials(state="trusted", signer="An editor"), Finding.UNKNOWN),
        (
            Credentials(state="trusted", signer="X", digital_source_types=("x/unheardOf",)),
            Finding.UNKNOWN,
        ),
        (
            Credentials(state="valid", signer="Anybody", digital_source_types=(CAMERA,)),
            Finding.UNKNOWN,
        ),
        (Credentials(state="invalid"), Finding.EVIDENCE_DISAGREES),
        (Credentials(state="unreadable"), Finding.COULD_NOT_CHECK),
    ],
)
def test_credentials_of_others_on_an_unmarked_picture(
    stand: Stand, path: Path, credentials: Credentials, finding: Finding
) -> None:
    stand.credentials = credentials
    report = stand.verify(path)
    assert report.finding is finding
    assert report.clip_id is None


def test_an_unrecognised_signer_is_named_as_such(stand: Stand, path: Path) -> None:
    stand.credentials = Credentials(state="valid", signer="X", digital_source_types=(AI,))
    assert "may not come from where it claims to" in stand.verify(path).sentence


@pytest.mark.parametrize("fault", [RuntimeError("x"), Unreadable("timeout"), MemoryError()])
@pytest.mark.parametrize(
    "where", ["credentials", "reading", "registry", "opening", "reading_on", "likeness"]
)
def test_whatever_a_witness_raises_is_could_not_check(
    stand: Stand, path: Path, where: str, fault: Exception
) -> None:
    stand.credentials, stand.reading = OURS, marked()
    if where == "likeness":
        stand.credentials, stand.reading = ABSENT, UNMARKED
    setattr(stand, where, fault)
    report = stand.verify(path)
    assert report.finding is Finding.COULD_NOT_CHECK
    results = {item.result for item in report.evidence.values()}
    assert "could_not_check" in results
    pixels = where not in ("credentials", "likeness")
    unreadable = "timeout" if isinstance(fault, Unreadable) and pixels else None
    assert report.unreadable == unreadable
    if unreadable:
        assert fault.message in report.sentence  # type: ignore[attr-defined]
    assert report.sentence.endswith("That says nothing about where it comes from.")


def test_a_reader_that_saw_no_frames_has_not_looked(stand: Stand, path: Path) -> None:
    stand.reading = replace(UNMARKED, frames_read=0)
    assert stand.verify(path).finding is Finding.COULD_NOT_CHECK
    stand.reading, stand.looked_at = UNMARKED, ()
    assert stand.verify(path).finding is Finding.COULD_NOT_CHECK


def test_a_container_that_holds_no_credentials_is_not_a_failure(
    stand: Stand, path: Path
) -> None:
    stand.container, stand.credentials = "matroska", Credentials(state="unreadable")
    assert stand.verify(path).finding is Finding.UNKNOWN


def test_spans_are_told_in_the_time_of_the_clip(stand: Stand, path: Path) -> None:
    stand.looked_at = ((0.0, 10.0), (50.0, 60.0))
    spans = (Span(start=9.0, end=11.0, pilot_score=5.0),)
    stand.reading = marked(spans=spans)
    details = stand.verify(path).to_dict()["evidence"]["watermark"]["details"]
    assert details["spans"] == [[9.0, 51.0]]


def test_nothing_about_an_unreleased_clip_is_told(stand: Stand, path: Path) -> None:
    stand.registry, stand.reading = {CLIP: clip(state="held")}, marked()
    log = stand.verify(path).to_dict()["evidence"]["log"]
    assert (log["result"], log["details"]) == ("not_recorded", {})


def test_a_likeness_is_shown_with_its_log_entry_and_makes_nothing_ours(
    stand: Stand, path: Path
) -> None:
    stand.looked_at = ((0.0, 0.5), (9.0, 10.0))
    stand.likeness = replace(alike(), clips=3, released=4)
    report = stand.verify(path)
    assert (report.finding, report.clip_id) == (Finding.UNKNOWN, None)
    assert "looks like a clip that was made here" in report.sentence
    shown = report.to_dict()["evidence"]["fingerprint"]
    assert shown["result"] == "looks_like"
    assert shown["details"] == {
        "compared": 3,
        "released": 4,
        "clips": [
            {
                "clip_id": CLIP,
                "log_index": 0,
                "manifest_id": MANIFEST,
                "similarity": 0.87,
                "chance_of_error": "below 10^-8",
                "mirrored": False,
                "seen": [0.25, 9.25],
            }
        ],
    }


@pytest.mark.parametrize("credentials", [OURS, ABSENT])
def test_beside_a_mark_a_likeness_changes_nothing(
    stand: Stand, path: Path, credentials: Credentials
) -> None:
    stand.credentials, stand.reading = credentials, marked()
    before = stand.verify(path)
    for likeness in (alike(), alike(OTHER), RuntimeError()):
        stand.likeness = likeness
        report = stand.verify(path)
        assert (report.finding, report.sentence) == (before.finding, before.sentence)
    assert report.evidence["fingerprint"].result == "could_not_check"  # type: ignore[index]


@pytest.mark.parametrize(
    "known",
    [
        {},
        {CLIP: clip(state="deleted")},
        {CLIP: clip(state="held")},
        {CLIP: clip(audit_index=7)},
        {CLIP: clip(sha256="cd" * 32)},
    ],
)
def test_a_likeness_of_a_clip_that_is_not_released_and_logged_is_not_told(
    stand: Stand, path: Path, known: dict[str, RegisteredClip]
) -> None:
    stand.registry, stand.likeness = known, alike()
    report = stand.verify(path)
    assert report.finding is Finding.UNKNOWN
    assert "looks like" not in report.sentence
    assert CLIP not in json.dumps(report.to_dict())


class BrokenLog:
    """A log whose proofs cannot be had."""

    def inclusion(self, event_id: str) -> Any:
        raise RuntimeError(event_id)


def test_a_likeness_that_cannot_be_proven_is_could_not_check(stand: Stand, path: Path) -> None:
    stand.log, stand.likeness = BrokenLog(), alike()  # type: ignore[assignment]
    report = stand.verify(path)
    assert report.finding is Finding.COULD_NOT_CHECK
    assert report.evidence[Technique.FINGERPRINT].result == "could_not_check"


def test_too_little_detail_is_said(stand: Stand, path: Path) -> None:
    stand.likeness = replace(NOTHING_ALIKE, enough_detail=False)
    report = stand.verify(path)
    assert report.finding is Finding.UNKNOWN
    assert report.to_dict()["evidence"]["fingerprint"]["result"] == "too_little_detail"


_CREDENTIALS = st.one_of(
    st.just(OURS),
    st.builds(
        Credentials,
        state=st.sampled_from(["absent", "trusted", "valid", "invalid", "unreadable"]),
        signer=st.none() | st.text(max_size=5),
        digital_source_types=st.lists(st.sampled_from([AI, CAMERA, "x", ""]), max_size=3).map(
            tuple
        ),
        soft_bindings=st.lists(
            st.sampled_from([(ALGORITHM, f"1*{CLIP}"), (ALGORITHM, "?"), ("a.b", "")]),
            max_size=2,
        ).map(tuple),
        manifest_id=st.sampled_from([None, MANIFEST, "x"]),
    ),
    st.just(RuntimeError()),
)
_READINGS = st.sampled_from(
    [marked(), marked(OTHER), DOUBTFUL, UNMARKED, Unreadable("limit"), ValueError()]
)
_REGISTRIES = st.sampled_from(
    [{}, {CLIP: clip()}, {CLIP: clip(state="failed")}, {OTHER: clip()}, OSError()]
)
_LIKENESSES = st.sampled_from(
    [
        NOTHING_ALIKE,
        alike(),
        alike(OTHER),
        alike("?"),
        replace(alike(), enough_detail=False),
        OSError(),
    ]
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    credentials=_CREDENTIALS,
    reading=_READINGS,
    registry=_REGISTRIES,
    likeness=_LIKENESSES,
    container=st.booleans(),
)
def test_no_mixture_of_evidence_makes_a_clip_ours_that_is_not(
    stand: Stand,
    path: Path,
    credentials: Any,
    reading: Any,
    registry: Any,
    likeness: Any,
    container: bool,
) -> None:
    mixed = replace(stand, credentials=credentials, reading=reading, registry=registry)
    mixed.likeness = likeness
    mixed.container = "mp4" if container else "matroska"
    report = mixed.verify(path)
    ours = not isinstance(reading, Exception) and reading.certain
    failed = any(item.result == "could_not_check" for item in report.evidence.values())
    look = report.evidence[Technique.FINGERPRINT].result
    others = [item.result for name, item in report.evidence.items() if name != "fingerprint"]
    if "could_not_check" in others:
        assert report.finding in {Finding.COULD_NOT_CHECK, Finding.EVIDENCE_DISAGREES}
    if failed:
        assert report.finding not in {
            Finding.UNKNOWN, Finding.MADE_ELSEWHERE, Finding.RECORDED_NOT_AI
        }  # fmt: skip
    if look == "looks_like":
        assert registry == {CLIP: clip()}
        assert likeness == alike()
    if report.finding in {Finding.MADE_HERE, Finding.MADE_HERE_CREDENTIALS_REMOVED}:
        assert ours
        assert reading.payload == Payload.from_hex(CLIP)
        assert registry == {CLIP: clip()}
    if report.finding is Finding.MADE_HERE:
        assert credentials == OURS
    if report.finding in {Finding.UNKNOWN, Finding.MADE_ELSEWHERE, Finding.RECORDED_NOT_AI}:
        assert not ours
