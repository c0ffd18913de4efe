"""Verify: from a file of unknown origin to a report of what can be said about it."""

from __future__ import annotations

import hashlib
import math
import stat
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gateway.findings import (
    CredentialsSay,
    Evidence,
    Finding,
    FingerprintSays,
    LogSays,
    WatermarkSays,
    decide,
    not_checked,
    sentence_for,
)
from gateway.meanings import Exhibit, Technique, exhibit
from gateway.media.sandbox import Unreadable
from gateway.proof import Known, consult
from gateway.provenance.binding import bound_clips
from gateway.provenance.credentials import Credentials
from gateway.witnesses import (
    ClipRegistry,
    Compared,
    CredentialSource,
    Decode,
    LookReader,
    MarkReader,
    PublicLog,
)
from watermark.fingerprint.match import Match
from watermark.fingerprint.query import Query
from watermark.reading import Reading

__all__ = ["Finding", "Report", "Verifier"]

Clock = Callable[[], datetime]
DETECTOR = "cinegate"
MAX_FILE_BYTES = 4 * 1024**3
HASH_BLOCK = 1024 * 1024
MAX_LIKE = 5
# IPTC digital source types, by their last part. What is in neither set settles nothing.
AI_SOURCES = frozenset(
    {
        "trainedAlgorithmicMedia",
        "compositeWithTrainedAlgorithmicMedia",
        "compositeSynthetic",
        "trainedAlgorithmicData",
    }
)
OTHER_SOURCES = frozenset(
    {
        "digitalCapture",
        "computationalCapture",
        "compositeCapture",
        "negativeFilm",
        "positiveFilm",
        "print",
        "screenCapture",
        "humanEdits",
        "digitalCreation",
    }
)
MATROSKA = "matroska"
MADE_HERE = frozenset({Finding.MADE_HERE, Finding.MADE_HERE_CREDENTIALS_REMOVED})


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was found, with the evidence. ``unreadable`` has the reason if the clip had one.

    ``looked_at`` are the seconds of the clip that were really decoded. The file is not kept.
    """

    finding: Finding
    clip_id: str | None
    sentence: str
    evidence: Mapping[Technique, Exhibit]
    looked_at: tuple[tuple[float, float], ...]
    content_sha256: str | None
    checked_at: datetime
    unreadable: str | None

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "finding": str(self.finding),
            "clip_id": self.clip_id,
            "sentence": self.sentence,
            "evidence": {str(key): item.to_dict() for key, item in self.evidence.items()},
            "looked_at": [list(span) for span in self.looked_at],
            "content_sha256": self.content_sha256,
            "checked_at": self.checked_at.isoformat(),
            "detector": {"name": DETECTOR, "version": version(DETECTOR)},
            "unreadable": self.unreadable,
        }


class Verifier:
    """Says where a clip comes from, as far as credentials, watermark and log can tell.

    What it looks like is told beside that, and proves nothing. The answer is about origin
    only: never about whether what is shown happened. Whatever a part raises becomes "could
    not check" for its technique, and so for the whole, unless the rest already contradicts
    itself or, for the look alone, settles the question.
    """

    def __init__(
        self,
        *,
        credentials: CredentialSource,
        watermark: MarkReader,
        looks: LookReader,
        registry: ClipRegistry,
        log: PublicLog,
        decode: Decode,
        clock: Clock,
    ) -> None:
        self._credentials = credentials
        self._watermark = watermark
        self._looks = looks
        self._registry = registry
        self._log = log
        self._decode = decode
        self._clock = clock

    def verify(self, path: Path) -> Report:
        """Examine a file; it is read, never written and never kept.

        1. The bytes are counted and hashed.
        2. The watermark is read from the decoded pixels, in a confined process.
        3. The credentials are read, in another one; a container that cannot hold any has none.
        4. The clip that they name is looked up, and its log entry proven under a signed head.
        5. Do they all name the same clip, with the credentials that we gave it?
        6. The picture is compared with what released clips look like.
        7. One table says what this adds up to (``gateway.findings``).

        Never raises for what the file holds. The caller bounds uploads and how many run at
        once.
        """
        # 1
        sha256 = _sha256(path)
        # 2
        seen = self._look(path)
        marked = seen.clip_id
        # 3
        credentials = self._read_credentials(path, seen.container)
        said, named = self._said(credentials)
        # 4
        asked = marked or named
        known = consult(self._registry, self._log, asked)
        # 5
        same = marked == named and (
            known.clip is None or credentials is None
            or credentials.manifest_id == known.clip.manifest_id
        )  # fmt: skip
        # 6
        alike = self._compare(seen)
        # 7
        evidence = Evidence(
            credentials=said,
            watermark=seen.says,
            log=known.says,
            fingerprint=alike.says,
            same_clip=same,
        )
        return Report(
            finding=decide(evidence),
            clip_id=marked or named,
            sentence=_sentence(evidence, seen, known),
            evidence={
                Technique.CONTENT_CREDENTIALS: exhibit(
                    said, _credential_details(credentials, named)
                ),
                Technique.WATERMARK: exhibit(seen.says, seen.details()),
                Technique.FINGERPRINT: exhibit(alike.says, alike.details(seen.looked_at)),
                Technique.LOG: exhibit(known.says, known.details(sha256)),
            },
            looked_at=seen.looked_at,
            content_sha256=sha256,
            checked_at=self._clock(),
            unreadable=seen.unreadable,
        )

    def _look(self, path: Path) -> _Seen:
        container = None
        try:
            onlooker = self._looks.onlooker()
            with self._decode(path) as video:
                container = video.info.container
                chunks = onlooker.passing(video.chunks)
                reading = self._watermark.extract(
                    chunks, fps=video.info.fps, candidates=self._registry.candidates()
                )
                # A reader may stop early; only a clip that was read to its end was looked at.
                looked_at = video.looked_at
                query = onlooker.query(fps=video.info.fps)
        except Unreadable as fault:
            return _Seen(container=container, unreadable=fault.reason, why=fault.message)
        except Exception:  # noqa: BLE001 - a part that raises has not checked
            return _Seen(container=container)
        return _Seen(container=container, reading=reading, query=query, looked_at=looked_at)

    def _read_credentials(self, path: Path, container: str | None) -> Credentials | None:
        if container == MATROSKA:
            # C2PA 2.4 §A has no embedding for Matroska and WebM.
            return Credentials(state="absent")
        try:
            return self._credentials.read(path)
        except Exception:  # noqa: BLE001 - a part that raises has not checked
            return None

    def _said(self, found: Credentials | None) -> tuple[CredentialsSay, str | None]:
        """What the credentials come to, and the clip that they name if they are ours."""
        if found is None or found.state == "unreadable":
            return CredentialsSay.FAILED, None
        if found.state == "absent":
            return CredentialsSay.ABSENT, None
        if found.state == "invalid":
            return CredentialsSay.INVALID, None
        sources = {kind.rsplit("/", 1)[-1] for kind in found.digital_source_types}
        says_ai = bool(sources & AI_SOURCES)
        if found.state == "trusted" and found.ours:
            bound = bound_clips(found.soft_bindings, algorithm=self._watermark.name)
            if says_ai and len(bound) == 1:
                return CredentialsSay.OURS, bound[0].clip_id
            return CredentialsSay.OURS_ODD, None
        if says_ai:
            recognised = found.state == "trusted"
            return (CredentialsSay.AI if recognised else CredentialsSay.AI_UNRECOGNISED), None
        named = found.signer or found.issuer
        if found.state == "trusted" and named and sources and sources <= OTHER_SOURCES:
            return CredentialsSay.NOT_AI, None
        return CredentialsSay.SILENT, None

    def _compare(self, seen: _Seen) -> _Alike:
        """The clips that the picture resembles, each proven; one that was deleted is none."""
        if seen.query is None:
            return _Alike(says=FingerprintSays.FAILED)
        try:
            compared = self._looks.compare(seen.query)
        except Exception:  # noqa: BLE001 - an index that cannot be asked has not compared
            return _Alike(says=FingerprintSays.FAILED)
        if not compared.enough_detail:
            return _Alike(says=FingerprintSays.TOO_LITTLE_DETAIL)
        like: list[tuple[Match, Known]] = []
        for match in compared.matches[:MAX_LIKE]:
            known = consult(self._registry, self._log, match.clip_id)
            if known.says is LogSays.FAILED:
                return _Alike(says=FingerprintSays.FAILED)
            fetchable = known.clip is not None and known.clip.state == "released"
            if known.says is LogSays.RECORDED and fetchable:
                like.append((match, known))
        says = FingerprintSays.LOOKS_LIKE if like else FingerprintSays.NOTHING_LIKE_IT
        return _Alike(says=says, compared=compared, like=tuple(like))


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What the pixels gave. No reading means that they could not be read."""

    container: str | None
    reading: Reading | None = None
    query: Query | None = None
    looked_at: tuple[tuple[float, float], ...] = ()
    unreadable: str | None = None
    why: str | None = None

    @property
    def says(self) -> WatermarkSays:
        """FOUND for a certain reading; NOT_FOUND only if the clip was read to its end."""
        if self.reading is None:
            return WatermarkSays.FAILED
        if self.reading.certain and self.reading.payload is not None:
            return WatermarkSays.FOUND
        looked = bool(self.looked_at) and self.reading.frames_read > 0
        return WatermarkSays.NOT_FOUND if looked else WatermarkSays.FAILED

    @property
    def clip_id(self) -> str | None:
        """The number in a certain reading."""
        if self.says is WatermarkSays.FOUND and self.reading and self.reading.payload:
            return self.reading.payload.hex
        return None

    def details(self) -> dict[str, Any]:
        """For the report; what is uncertain names no clip."""
        if self.reading is None:
            return {} if self.why is None else {"reason": self.why}
        found = self.reading
        shown: dict[str, Any] = {
            "algorithm": found.algorithm,
            "frames_read": found.frames_read,
            "looked_at": [list(span) for span in self.looked_at],
        }
        if self.says is WatermarkSays.FOUND:
            shown |= {
                "key": found.key_id,
                "mode": found.mode,
                "chance_of_error": f"below 10^{found.log10_p:.0f}",
                "log10_p": round(found.log10_p, 2),
                "spans": [
                    [_in_clip(s.start, self.looked_at), _in_clip(s.end, self.looked_at)]
                    for s in found.spans
                ],
                "geometry": asdict(found.geometry) if found.geometry else None,
            }
        return shown


@dataclass(frozen=True, kw_only=True)
class _Alike:
    """What the look of the picture gave."""

    says: FingerprintSays
    compared: Compared | None = None
    like: tuple[tuple[Match, Known], ...] = ()

    def details(self, looked_at: tuple[tuple[float, float], ...]) -> dict[str, Any]:
        """For the report: how many were compared, and what it may be."""
        if self.compared is None:
            return {}
        shown: dict[str, Any] = {
            "compared": self.compared.clips,
            "released": self.compared.released,
        }
        if self.like:
            shown["clips"] = [
                {
                    "clip_id": match.clip_id,
                    "log_index": known.index,
                    "manifest_id": known.manifest_id,
                    "similarity": round(match.similarity, 2),
                    "chance_of_error": f"below 10^{math.ceil(match.log10_p)}",
                    "mirrored": match.mirrored,
                    "seen": [_in_clip(at, looked_at) for at in (match.start, match.end)],
                }
                for match, known in self.like
            ]
        return shown


def _sentence(evidence: Evidence, seen: _Seen, known: Known) -> str:
    if decide(evidence) is Finding.COULD_NOT_CHECK and seen.why is not None:
        return not_checked(seen.why)
    said = sentence_for(evidence)
    if known.withdrawn is not None and decide(evidence) in MADE_HERE:
        # Where it comes from stays true; that it was taken back is said beside it. A file that
        # contradicts itself is not that clip.
        return f"{said} {known.withdrawn.sentence}"
    return said


def _credential_details(found: Credentials | None, named: str | None) -> dict[str, Any]:
    if found is None or found.state in ("absent", "unreadable"):
        return {} if found is None else {"failures": list(found.failures)}
    return {**found.to_dict(), "names_clip": named}


def _in_clip(second: float, looked_at: tuple[tuple[float, float], ...]) -> float:
    """A time in the decoded stream as a time in the clip: the stream skips between looks."""
    left = second
    for start, end in looked_at:
        if left <= end - start:
            return round(start + left, 3)
        left -= end - start
    return round(looked_at[-1][1] if looked_at else second, 3)


def _sha256(path: Path) -> str | None:
    digest = hashlib.sha256()
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_FILE_BYTES:
            return None
        with path.open("rb") as source:
            while block := source.read(HASH_BLOCK):
                digest.update(block)
    except OSError:
        return None
    return digest.hexdigest()
