"""The seams of the pipeline: what it asks of each part, and nothing about who does it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from sqlalchemy.orm import Session

from gateway.orders import Order
from gateway.record import Facts
from generator.clip import Frames
from safety.circumstances import STRICTEST, Circumstances, Grant
from safety.submission import Submission
from safety.verdict import Verdict
from watermark.payload import Payload
from watermark.reading import Reading


class PromptJudge(Protocol):
    """Judges prompts; ``safety.moderation.PromptGate`` is the real one."""

    def judge(
        self, prompts: Sequence[str], *, circumstances: Circumstances = STRICTEST
    ) -> tuple[Verdict, ...]:
        """One verdict per prompt, in order."""


class SubmissionJudge(PromptJudge, Protocol):
    """Judges whole requests too; ``safety.submission.SubmissionGate`` is the real one."""

    def weigh(
        self, submission: Submission, *, circumstances: Circumstances = STRICTEST
    ) -> Verdict:
        """The verdict on all that a request says."""


class Owner(Protocol):
    """Whoever a request belongs to: ``gateway.auth.Caller`` and ``gateway.record.Order``."""

    @property
    def tenant_id(self) -> str:
        """The tenant."""


class Permits(Protocol):
    """Knows tenants and their records; ``gateway.permissions.Permissions`` is the real one."""

    def circumstances(self, owner: Owner, *, project: str | None) -> Circumstances:
        """Under which circumstances a request is judged now."""


class Offers(Protocol):
    """Offers other wordings; ``safety.rewrite.Rewriter`` is the real one."""

    def offer(self, prompt: str, *, granted: Collection[Grant] = ()) -> str | None:
        """Another wording, or None. Nothing is ever rewritten without the creator."""


class FrameJudge(Protocol):
    """Judges a clip; ``safety.frames.FrameGate`` is the real one."""

    def judge(
        self,
        chunks: Iterable[Frames],
        *,
        fps: float,
        circumstances: Circumstances = STRICTEST,
    ) -> Verdict:
        """The verdict on the whole stream."""


class Marker(Protocol):
    """Writes and reads the watermark; ``watermark.spread`` has the real one."""

    @property
    def name(self) -> str:
        """The soft-binding algorithm name."""

    def embed(
        self, chunks: Iterable[Frames], payload: Payload, *, fps: float
    ) -> Iterator[Frames]:
        """The same frames with the mark in them."""

    def extract(self, chunks: Iterable[Frames], *, fps: float) -> Reading:
        """What the frames carry."""


class Looks(Protocol):
    """Makes fingerprints; ``watermark.fingerprint`` has the real ones."""

    def record(self, chunks: Iterable[Frames], *, fps: float) -> bytes:
        """What a clip looks like, as compact bytes. Never raises for what it shows."""


class Codec(Protocol):
    """Encodes and decodes our own files; ``gateway.media.codec`` is the real one."""

    def encode(self, chunks: Iterable[Frames], path: Path, *, fps: int) -> object:
        """Write an MP4 for delivery."""

    def encode_lossless(self, chunks: Iterable[Frames], path: Path, *, fps: int) -> object:
        """Write a file that decodes to exactly these frames."""

    def decode(self, path: Path) -> Iterator[Frames]:
        """The frames of a file of ours."""

    def thumbnail(self, path: Path) -> bytes:
        """A JPEG still."""


class Sealer(Protocol):
    """Signs a clip and reads credentials back; ``gateway.sealer`` has the real one."""

    def seal(
        self, order: Order, source: Path, target: Path, *, thumbnail: bytes, fingerprint: bytes
    ) -> str:
        """Write a signed copy; return its manifest id."""

    def named_clip(self, path: Path) -> str:
        """The clip id in the file's credentials, if they are trusted and ours; else raise."""


class Log(Protocol):
    """The audit log as the last stage needs it."""

    def wait_until_covered(self, event_id: str, timeout: float) -> int:
        """The entry's index once a signed checkpoint covers it; raises when late."""


class Enqueue(Protocol):
    """The queue of clips; ``gateway.jobs.JobQueue`` is the real one."""

    def enqueue(
        self,
        session: Session,
        video_id: str,
        *,
        run: int = 0,
        turn: int = 1,
        delay: float = 0.0,
        finish: bool = False,
    ) -> None:
        """Add a job in the caller's transaction: commit or roll back with it.

        ``run`` tells a job that is put back from the one before, the lowest ``turn`` comes
        first, ``delay`` is in seconds, and ``finish`` is for workers without a model.
        """


class Observer(Protocol):
    """Is told what happens, and changes nothing; ``gateway.telemetry`` has the real one.

    Every word is one of our own code, and none names a tenant, a clip or what was asked.
    """

    def request_answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request to this pattern of a path had its answer."""

    def request_refused(self, category: str) -> None:
        """The prompt gate refused a request at the door; retries of it do not count."""

    def clip_ended(self, state: str) -> None:
        """A clip was released, refused or held, or has failed."""

    def stage_ended(self, stage: str, outcome: str, seconds: float) -> None:
        """A stage ran: done, interrupted, failed, or left to others."""

    def job_put_back(self, stage: str) -> None:
        """A job that was interrupted at this stage waits for another try."""

    def file_verified(self, finding: str) -> None:
        """A file from outside was examined."""


class Unobserved:
    """The observer of a process that nobody watches."""

    def request_answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Not counted."""

    def request_refused(self, category: str) -> None:
        """Not counted."""

    def clip_ended(self, state: str) -> None:
        """Not counted."""

    def stage_ended(self, stage: str, outcome: str, seconds: float) -> None:
        """Not counted."""

    def job_put_back(self, stage: str) -> None:
        """Not counted."""

    def file_verified(self, finding: str) -> None:
        """Not counted."""


UNOBSERVED = Unobserved()


class StepRunner(Protocol):
    """Runs one effect: plainly in tests, durably in production."""

    def run(self, name: str, effect: Callable[[], Facts]) -> Facts:
        """The effect's facts, or those it gave before a crash."""

    def checkpoint(self) -> None:
        """Called between denoising steps; raises when the work must stop here."""
