"""The pipeline: from an accepted order to a release, every stage in order.

    approve → generate → check → mark → sign → publish → Release

Each stage takes only the evidence that the one before it returns, is recorded with its audit
entry before the next begins, and is repeatable: what is on record is not done again. A stage
that does not say yes raises; there is no other way to the end of this file.
"""

from __future__ import annotations

import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.audit.entry import EventKind
from gateway.errors import StageUnavailable
from gateway.orders import Order, submission_of
from gateway.record import Facts, Outcome, Record, event_id, judged
from gateway.seams import (
    Codec,
    FrameJudge,
    Log,
    Looks,
    Marker,
    Permits,
    Sealer,
    StepRunner,
    SubmissionJudge,
)
from gateway.store import Ref, Released, Vault
from generator.clip import GenerationRequest, Generator
from generator.errors import GenerationError
from safety.moderation import MINOR_NOTE
from safety.verdict import Stage
from watermark.payload import Payload
from watermark.reading import Reading

STAGES = ("approve", "generate", "check", "mark", "sign", "publish")
# The entry of each stage; all six must be under a checkpoint before the release, so that a
# stage row that somebody planted, without its entry, releases nothing.
ENTRIES = {
    "approve": EventKind.VERDICT_GIVEN,
    "generate": EventKind.VIDEO_GENERATED,
    "check": EventKind.VERDICT_GIVEN,
    "mark": EventKind.VIDEO_MARKED,
    "sign": EventKind.VIDEO_SIGNED,
    "publish": EventKind.VIDEO_PUBLISHED,
}
DEADLINE_SECONDS = dict(zip(STAGES, (60, 1800, 900, 900, 300, 900), strict=True))
PROGRESS_EVERY_SECONDS = 0.5
COVER_TIMEOUT_SECONDS = 60.0


# --- evidence: only this file builds it (tests/contract/test_architecture.py) -------------


@dataclass(frozen=True, kw_only=True)
class ApprovedRequest:
    """An order whose prompt the policy allowed; ``notes`` are for whoever judges the frames."""

    order: Order
    policy: str
    notes: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class RawClip:
    """What the model made; nobody has looked at it yet."""

    order: Order
    raw: Ref
    fps: int
    notes: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class ClearedClip:
    """A raw clip whose frames the policy allowed."""

    order: Order
    raw: Ref
    fps: int


@dataclass(frozen=True, kw_only=True)
class MarkedClip:
    """A cleared clip whose watermark was read back from the encoded bytes."""

    order: Order
    video: Ref
    fps: int


@dataclass(frozen=True, kw_only=True)
class SignedClip:
    """A marked clip whose credentials were read back as ours and name its watermark.

    One that was signed by an earlier release may have no ``fingerprint``.
    """

    order: Order
    video: Ref
    thumbnail: Ref
    fps: int
    manifest_id: str
    fingerprint: bytes | None


@dataclass(frozen=True, kw_only=True)
class Release:
    """A clip that may be fetched: both marks re-read from the stored bytes, logged."""

    order: Order
    video: Ref
    audit_index: int


# --- the path ----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """Holds the parts that the composition root chose; see the module for the path."""

    record: Record
    vault: Vault
    released: Released
    scratch: Path
    prompts: SubmissionJudge
    generators: Mapping[str, Generator]
    frames: FrameJudge
    marker: Marker
    looks: Looks
    codec: Codec
    sealer: Sealer
    log: Log
    steps: StepRunner
    permits: Permits

    def run(self, order: Order) -> Release:
        """Take an order to its release.

        Raises Stopped when the policy refused or held it, an Error when a stage could not
        say yes. Nothing can be fetched unless this returns.
        """
        made = self.make(order)
        cleared = self.check(made)
        marked = self.mark(cleared)
        signed = self.sign(marked)
        return self.publish(signed)

    def make(self, order: Order) -> RawClip:
        """The part of the path that needs the model; raises as ``run`` does."""
        return self.generate(self.approve(order))

    def approve(self, order: Order) -> ApprovedRequest:
        """All that the request says, under the policy, records and names in force now."""

        def effect() -> Outcome:
            known = self.permits.circumstances(order, project=order.project)
            verdict = self.prompts.weigh(submission_of(order), circumstances=known)
            return judged(verdict, of=Stage.PROMPT, progress=5)

        facts = self._stage(order, "approve", effect)
        self.record.demand_allowed(order, facts)
        # A record without notes is an old one: it may have spoken of a minor.
        notes = frozenset(map(str, facts.get("notes", (MINOR_NOTE,))))
        return ApprovedRequest(order=order, policy=str(facts["policy"]), notes=notes)

    def generate(self, approved: ApprovedRequest) -> RawClip:
        """The model's clip, kept without loss in the vault."""
        order = approved.order

        def effect() -> Outcome:
            generator = self.generators.get(order.model)
            if generator is None:
                raise StageUnavailable("The model of this job is not available here.")
            request = GenerationRequest(
                prompt=submission_of(order).story,
                negative_prompt=order.negative_prompt,
                seconds=order.seconds,
                width=order.width,
                height=order.height,
                seed=order.seed,
                model=generator.name,
            )
            try:
                clip = generator.generate(request, on_progress=self._watch(order))
            except GenerationError as fault:
                raise StageUnavailable(str(fault)) from fault
            if (clip.width, clip.height) != (order.width, order.height):
                raise StageUnavailable("The model gave a clip of another size than asked.")
            with self._folder() as folder:
                path = folder / "raw.mp4"
                self.codec.encode_lossless(clip.frames, path, fps=clip.fps)
                raw = self.vault.put(path, scope=order.video_id, suffix="mp4")
            return Outcome(
                kind=EventKind.VIDEO_GENERATED,
                facts={"raw": raw.to_dict(), "fps": clip.fps},
                logged={"model": order.model, "raw_sha256": raw.sha256},
                progress=60,
            )

        facts = self._stage(order, "generate", effect)
        raw, fps = Ref.from_dict(facts["raw"]), int(facts["fps"])
        return RawClip(order=order, raw=raw, fps=fps, notes=approved.notes)

    def check(self, made: RawClip) -> ClearedClip:
        """The frames, judged by the policy."""
        order = made.order

        def effect() -> Outcome:
            known = self.permits.circumstances(order, project=order.project)
            known = replace(known, notes=made.notes)
            with self.vault.checkout(made.raw, scratch=self.scratch) as path:
                frames = self.codec.decode(path)
                verdict = self.frames.judge(frames, fps=made.fps, circumstances=known)
            return judged(verdict, of=Stage.FRAMES, progress=70)

        facts = self._stage(order, "check", effect)
        self.record.demand_allowed(order, facts)
        return ClearedClip(order=order, raw=made.raw, fps=made.fps)

    def mark(self, cleared: ClearedClip) -> MarkedClip:
        """The watermark, read back after encoding: compression is the first attacker."""
        order = cleared.order

        def effect() -> Outcome:
            with (
                self.vault.checkout(cleared.raw, scratch=self.scratch) as raw,
                self._folder() as folder,
            ):
                path = folder / "marked.mp4"
                payload = Payload.from_hex(order.clip_id)
                frames = self.marker.embed(self.codec.decode(raw), payload, fps=cleared.fps)
                self.codec.encode(frames, path, fps=cleared.fps)
                reading = self._demand_mark(path, order, fps=cleared.fps)
                video = self.vault.put(path, scope=order.video_id, suffix="mp4")
            return Outcome(
                kind=EventKind.VIDEO_MARKED,
                facts={"video": video.to_dict()},
                logged={
                    "algorithm": self.marker.name,
                    "key_id": reading.key_id,
                    "marked_sha256": video.sha256,
                },
                progress=80,
            )

        facts = self._stage(order, "mark", effect)
        return MarkedClip(order=order, video=Ref.from_dict(facts["video"]), fps=cleared.fps)

    def sign(self, marked: MarkedClip) -> SignedClip:
        """The signed credentials, read back as trusted, ours, and naming the watermark."""
        order = marked.order

        def effect() -> Outcome:
            with (
                self.vault.checkout(marked.video, scratch=self.scratch) as source,
                self._folder() as folder,
            ):
                target, still = folder / "signed.mp4", self.codec.thumbnail(source)
                # Signing leaves the pictures as they are: these are the ones of the release.
                look = self.looks.record(self.codec.decode(source), fps=marked.fps)
                manifest_id = self.sealer.seal(
                    order, source, target, thumbnail=still, fingerprint=look
                )
                self._demand_credentials(target, order)
                video = self.vault.put(target, scope=order.video_id, suffix="mp4")
                thumbnail = self.vault.put_bytes(still, scope=order.video_id, suffix="jpg")
            return Outcome(
                kind=EventKind.VIDEO_SIGNED,
                facts={
                    "video": video.to_dict(),
                    "thumbnail": thumbnail.to_dict(),
                    "manifest_id": manifest_id,
                    "fingerprint": b64encode(look).decode("ascii"),
                },
                logged={"signed_sha256": video.sha256, "manifest_id": manifest_id},
                progress=90,
            )

        facts = self._stage(order, "sign", effect)
        look = facts.get("fingerprint")
        return SignedClip(
            order=order,
            video=Ref.from_dict(facts["video"]),
            thumbnail=Ref.from_dict(facts["thumbnail"]),
            fps=marked.fps,
            manifest_id=str(facts["manifest_id"]),
            fingerprint=None if look is None else b64decode(str(look), validate=True),
        )

    def publish(self, signed: SignedClip) -> Release:
        """The bytes where they may be fetched, both marks re-read there, the log first."""
        order = signed.order

        def effect() -> Outcome:
            with self.vault.checkout(signed.video, scratch=self.scratch) as path:
                video = self.released.put(path, scope=order.video_id, suffix="mp4")
            still = self.released.put_bytes(
                self.vault.read(signed.thumbnail), scope=order.video_id, suffix="jpg"
            )
            with self.released.checkout(video, scratch=self.scratch) as path:
                self._demand_credentials(path, order)
                self._demand_mark(path, order, fps=signed.fps)
            return Outcome(
                kind=EventKind.VIDEO_PUBLISHED,
                facts={"video": video.to_dict()},
                logged={
                    "sha256": video.sha256,
                    "size_bytes": video.size,
                    "thumbnail_sha256": still.sha256,
                    "manifest_id": signed.manifest_id,
                },
                progress=95,
                changes={
                    "sha256": video.sha256,
                    "size_bytes": video.size,
                    "thumbnail": still.to_dict(),
                    "manifest_id": signed.manifest_id,
                    "watermark_ok": True,
                    "credentials_ok": True,
                },
            )

        facts = self._stage(order, "publish", effect)
        index = -1
        for entry in self._entries(order):
            index = self.log.wait_until_covered(entry, COVER_TIMEOUT_SECONDS)
        self.record.release(order, audit_index=index, fingerprint=signed.fingerprint)
        return Release(order=order, video=Ref.from_dict(facts["video"]), audit_index=index)

    def _entries(self, order: Order) -> Iterator[str]:
        """The log entries that a release rests on, that of the publication last."""
        for stage in ("approve", "check"):
            yield from self.record.rulings(order, self.record.facts(order, stage) or {})
        yield from (event_id(order, stage, kind) for stage, kind in ENTRIES.items())

    # --- shared by the stages ---------------------------------------------------------

    def _stage(self, order: Order, stage: str, effect: Callable[[], Outcome]) -> Facts:
        """Run a stage unless it is on record; a stage that answers late has not answered."""

        def once() -> Facts:
            self.record.begin(order, stage)
            started = time.monotonic()
            outcome = effect()
            if time.monotonic() - started < DEADLINE_SECONDS[stage]:
                return self.record.passed(order, stage, outcome)
            raise StageUnavailable(f"The stage {stage!r} took longer than its deadline.")

        self.steps.checkpoint()
        known = self.record.facts(order, stage)
        # What is on record is no step: it would be timed as a stage that took no time.
        return self.steps.run(stage, once) if known is None else known

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        self.scratch.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self.scratch) as name:
            yield Path(name)

    def _watch(self, order: Order) -> Callable[[int, int], None]:
        """Progress of the denoising steps; raises at the next one when the job must end."""
        started = time.monotonic()
        shown = started

        def on_progress(done: int, total: int) -> None:
            nonlocal shown
            self.steps.checkpoint()
            now = time.monotonic()
            if now - started > DEADLINE_SECONDS["generate"]:
                raise StageUnavailable("The model took longer than its deadline.")
            if now - shown >= PROGRESS_EVERY_SECONDS:
                shown = now
                self.record.progress(order, 5 + 50 * done // max(total, 1))
            else:
                self.record.demand_living(order)

        return on_progress

    def _demand_mark(self, path: Path, order: Order, *, fps: int) -> Reading:
        reading = self.marker.extract(self.codec.decode(path), fps=fps)
        if reading.certain and reading.payload == Payload.from_hex(order.clip_id):
            return reading
        raise StageUnavailable("The watermark could not be read back from the encoded clip.")

    def _demand_credentials(self, path: Path, order: Order) -> None:
        if self.sealer.named_clip(path) == order.clip_id:
            return
        raise StageUnavailable("The credentials of the signed clip do not name its watermark.")
