"""Soft bindings: from a mark or a look to the manifests of released clips (C2PA SBR)."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from gateway.errors import InvalidRequest, NotFound, StageUnavailable, TooLarge
from gateway.findings import FingerprintSays, LogSays, WatermarkSays
from gateway.meanings import MEANINGS, Technique
from gateway.proof import consult
from gateway.provenance.binding import LAYOUT_VERSION, fingerprint_algorithm, parse_binding
from gateway.provenance.manifest_store import manifest_store
from gateway.registry import SqlRegistry
from gateway.store import Ref, Released
from gateway.verify import Report
from gateway.witnesses import LookReader, PublicLog, RegisteredClip
from watermark.fingerprint.query import Query
from watermark.fingerprint.record import MAX_BYTES, Fingerprint, FingerprintInvalid

MAX_VALUE_CHARS = 4 * -(-MAX_BYTES // 3)
MAX_MANIFEST_ID_CHARS = 200
MAX_RESULTS = 100
NOT_A_VALUE = "The value is not one of this algorithm, in base64."
# What a file that is no video, or no video that we examine, is called.
FOREIGN_KINDS = frozenset({"not_media", "unsupported"})


class UnsupportedAsset(InvalidRequest):
    """The asset is of a kind that cannot carry our marks."""

    status = 415


class NotExamined(StageUnavailable):
    """Nothing is known about the asset: some part could not be asked."""

    status = 500


@dataclass(frozen=True, kw_only=True)
class Found:
    """A manifest that something leads to. ``similarity`` is 0 to 1, of a likeness only."""

    manifest_id: str
    similarity: float | None = None


class SoftBindings:
    """Finds manifests of clips that are released now and proven to be in the log; no others.

    The repository of manifests is the shelf: each released file holds its own.
    """

    def __init__(
        self,
        *,
        algorithm: str,
        registry: SqlRegistry,
        log: PublicLog,
        looks: LookReader,
        released: Released,
    ) -> None:
        self.watermark = algorithm
        self.fingerprint = fingerprint_algorithm(algorithm)
        self._registry = registry
        self._log = log
        self._looks = looks
        self._released = released

    def demand_known(self, algorithm: str, *, param: str = "alg") -> None:
        """Return for an algorithm of ours; raise InvalidRequest for any other."""
        if algorithm not in (self.watermark, self.fingerprint):
            raise InvalidRequest("This service does not know the algorithm.", param=param)

    def by_value(self, algorithm: str, value: str) -> tuple[Found, ...]:
        """The manifests that a binding leads to, the likeliest first.

        ``value`` is base64 of a watermark's text (``1*00c0ffee00c0ffee``) or of a fingerprint's
        record. Raises InvalidRequest for what is neither, NotExamined when a part cannot say.
        """
        self.demand_known(algorithm)
        if len(value) > MAX_VALUE_CHARS:
            raise TooLarge("The value is longer than any of ours.", param="value")
        try:
            raw = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as fault:
            raise InvalidRequest(NOT_A_VALUE, param="value") from fault
        return self._marked(raw) if algorithm == self.watermark else self._alike(raw)

    def demand_sound(
        self, algorithm: str | None, hint_algorithm: str | None, hint: str | None
    ) -> None:
        """Return for what ``by_report`` may be asked with; raise InvalidRequest otherwise."""
        if algorithm is not None:
            self.demand_known(algorithm)
        if (hint_algorithm is None) != (hint is None):
            raise InvalidRequest("A hint is an algorithm and a value.", param="hintAlg")
        if hint_algorithm is not None:
            self.demand_known(hint_algorithm, param="hintAlg")

    def by_report(
        self,
        report: Report,
        algorithm: str | None = None,
        hint_algorithm: str | None = None,
        hint: str | None = None,
    ) -> tuple[Found, ...]:
        """The manifests that an examined file leads to: by its mark, then by its look.

        With an algorithm, by that alone; with a hint, by that if there are none. Raises
        UnsupportedAsset, InvalidRequest or NotExamined when the file could not be examined:
        that is not the same as no manifest.
        """
        if report.unreadable is not None:
            if report.unreadable in FOREIGN_KINDS:
                raise UnsupportedAsset(report.sentence)
            if report.unreadable == "too_large":
                raise TooLarge(report.sentence)
            raise InvalidRequest(report.sentence)
        found: list[Found] = []
        if algorithm in (None, self.watermark):
            mark = report.evidence[Technique.WATERMARK].result
            _demand_heard(mark)
            if mark == MEANINGS[WatermarkSays.FOUND][0] and report.clip_id is not None:
                found += self._of(report.clip_id)
        if algorithm in (None, self.fingerprint):
            look = report.evidence[Technique.FINGERPRINT]
            _demand_heard(look.result)
            if look.result == MEANINGS[FingerprintSays.LOOKS_LIKE][0]:
                for like in look.details["clips"]:
                    found += self._of(str(like["clip_id"]), float(like["similarity"]))
        once: dict[str, Found] = {}
        for one in found:
            once.setdefault(one.manifest_id, one)
        if not once and hint_algorithm is not None and hint is not None:
            return self.by_value(hint_algorithm, hint)
        return tuple(once.values())

    def manifest(self, manifest_id: str) -> bytes:
        """The manifest store of a released clip, as it stands in its file. Raises NotFound."""
        clip = None
        if len(manifest_id) <= MAX_MANIFEST_ID_CHARS:
            clip = self._registry.find_manifest(manifest_id)
        if clip is None or not self._of(clip.clip_id):
            raise NotFound("There is no such manifest.", param="manifestId")
        ref = _file_of(clip)
        if not self._released.intact(ref):
            raise NotFound("There is no such manifest.", param="manifestId")
        return manifest_store(self._released.local_path(ref))

    def _marked(self, raw: bytes) -> tuple[Found, ...]:
        try:
            binding = parse_binding(raw.decode("ascii"))
        except (UnicodeDecodeError, InvalidRequest) as fault:
            raise InvalidRequest(NOT_A_VALUE, param="value") from fault
        return self._of(binding.clip_id) if binding.layout == LAYOUT_VERSION else ()

    def _alike(self, raw: bytes) -> tuple[Found, ...]:
        try:
            query = Query.of(Fingerprint.from_bytes(raw))
        except FingerprintInvalid as fault:
            raise InvalidRequest(NOT_A_VALUE, param="value") from fault
        matches = self._looks.compare(query).matches
        return tuple(
            one for match in matches for one in self._of(match.clip_id, match.similarity)
        )

    def _of(self, clip_id: str, similarity: float | None = None) -> tuple[Found, ...]:
        """The manifest of a clip, if it is released now and the log has it."""
        known = consult(self._registry, self._log, clip_id)
        if known.says is LogSays.FAILED:
            raise NotExamined("The register or the log could not be asked.")
        clip = known.clip
        if known.says is not LogSays.RECORDED or clip is None or clip.state != "released":
            return ()
        if clip.manifest_id is None:
            return ()
        return (Found(manifest_id=clip.manifest_id, similarity=similarity),)


def _demand_heard(result: str) -> None:
    if result == MEANINGS[WatermarkSays.FAILED][0]:
        raise NotExamined("The file could not be examined now; that says nothing about it.")


def _file_of(clip: RegisteredClip) -> Ref:
    return Ref(
        scope=clip.video_id, sha256=str(clip.sha256), size=clip.size_bytes or 0, suffix="mp4"
    )
