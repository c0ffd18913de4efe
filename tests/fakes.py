"""Honest in-memory versions of the seams: they do what they promise, only simply."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from gateway.audit.sequencer import Sequencer
from gateway.errors import StageUnavailable
from gateway.orders import Order
from gateway.record import Facts
from gateway.seams import Owner
from generator.clip import Clip, Frames, GenerationRequest, Progress
from safety.circumstances import STRICTEST, Circumstances, Grant
from safety.submission import Submission
from safety.verdict import Action, Category, Reason, Stage, Verdict
from watermark.payload import Payload
from watermark.reading import Reading, nothing

POLICY_HASH = "0" * 64
STEPS = 4


def verdict(action: Action = Action.ALLOW, *, stage: Stage = Stage.PROMPT) -> Verdict:
    """A verdict of the fake policy; a stop always gives the same rule."""
    reason = Reason(
        category=Category.VIOLENCE,
        stage=stage,
        rule="T-1",
        text="The rule of the test.",
        action=action,
    )
    return Verdict(
        action=action,
        scores={Category.VIOLENCE: 0.1 if action is Action.ALLOW else 0.9},
        reasons=() if action is Action.ALLOW else (reason,),
        policy=POLICY_HASH,
        judges=("fake@1",),
        stage=stage,
    )


@dataclass
class FakePromptJudge:
    """Gives one action for every prompt; ``fault`` is raised instead when set."""

    action: Action = Action.ALLOW
    fault: BaseException | None = None
    notes: frozenset[str] = frozenset()
    asked: list[str] = field(default_factory=list)
    weighed: list[Submission] = field(default_factory=list)
    known: list[Circumstances] = field(default_factory=list)

    def judge(
        self, prompts: Sequence[str], *, circumstances: Circumstances = STRICTEST
    ) -> tuple[Verdict, ...]:
        self.asked += prompts
        self.known.append(circumstances)
        if self.fault is not None:
            raise self.fault
        return tuple(verdict(self.action) for _ in prompts)

    def weigh(
        self, submission: Submission, *, circumstances: Circumstances = STRICTEST
    ) -> Verdict:
        self.known.append(circumstances)
        self.asked += [part.text for part in submission.parts]
        self.weighed.append(submission)
        if self.fault is not None:
            raise self.fault
        return replace(verdict(self.action), notes=self.notes)


@dataclass
class FakePermits:
    """Gives the same circumstances to everybody, and remembers who asked."""

    known: Circumstances = STRICTEST
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def circumstances(self, owner: Owner, *, project: str | None) -> Circumstances:
        self.asked.append((owner.tenant_id, project))
        return self.known


@dataclass
class FakeOffers:
    """Offers the one wording it was given, or none."""

    wording: str | None = None

    def offer(self, prompt: str, *, granted: Collection[Grant] = ()) -> str | None:
        assert prompt
        del granted
        return self.wording


@dataclass
class FakeFrameJudge:
    """Gives one action for every clip, after looking at all of it."""

    action: Action = Action.ALLOW
    fault: BaseException | None = None
    frames_seen: int = 0
    known: list[Circumstances] = field(default_factory=list)

    def judge(
        self,
        chunks: Iterable[Frames],
        *,
        fps: float,
        circumstances: Circumstances = STRICTEST,
    ) -> Verdict:
        assert fps > 0
        self.known.append(circumstances)
        self.frames_seen = sum(len(chunk) for chunk in chunks)
        if self.fault is not None:
            raise self.fault
        return verdict(self.action, stage=Stage.FRAMES)


@dataclass
class FakeGenerator:
    """Draws a gradient that depends on prompt and seed."""

    name: str = "fake"
    fault: BaseException | None = None
    calls: int = 0
    wrong_size: bool = False
    requests: list[GenerationRequest] = field(default_factory=list)

    def generate(self, request: GenerationRequest, *, on_progress: Progress) -> Clip:
        self.calls += 1
        self.requests.append(request)
        for done in range(1, STEPS + 1):
            on_progress(done, STEPS)
        if self.fault is not None:
            raise self.fault
        width = request.width + (2 if self.wrong_size else 0)
        shape = (8, request.height, width, 3)
        source = np.random.default_rng([request.seed, *request.prompt.encode()])
        frames = source.integers(0, 256, shape, dtype=np.uint8)
        return Clip(
            frames=[frames],
            frame_count=8,
            fps=8,
            width=width,
            height=request.height,
            seed=request.seed,
            model_name=self.name,
            model_version="1",
        )


@dataclass
class FakeCodec:
    """Keeps frames as arrays; ``lossy`` clears what a fake mark is made of."""

    lossy: bool = False
    fault: BaseException | None = None

    def encode(self, chunks: Iterable[Frames], path: Path, *, fps: int) -> None:
        assert fps > 0
        frames = np.concatenate(list(chunks))
        if self.fault is not None:
            raise self.fault
        self._write(path, frames & 0xFE if self.lossy else frames)

    def encode_lossless(self, chunks: Iterable[Frames], path: Path, *, fps: int) -> None:
        assert fps > 0
        self._write(path, np.concatenate(list(chunks)))

    def decode(self, path: Path) -> Iterator[Frames]:
        with path.open("rb") as stream:
            frames = np.load(stream)
        for start in range(0, len(frames), 3):
            yield frames[start : start + 3]

    def thumbnail(self, path: Path) -> bytes:
        return b"still of " + path.read_bytes()[:16]

    @staticmethod
    def _write(path: Path, frames: Frames) -> None:
        with path.open("wb") as stream:
            np.save(stream, frames)


@dataclass
class FakeMarker:
    """Puts the payload's bits into the lowest bits of the first pixels of each frame."""

    name: str = "org.example.fake.wm.1"
    certain: bool = True
    fault: BaseException | None = None

    def embed(
        self, chunks: Iterable[Frames], payload: Payload, *, fps: float
    ) -> Iterator[Frames]:
        del fps
        bits = np.unpackbits(np.frombuffer(bytes.fromhex(payload.hex), np.uint8))
        for chunk in chunks:
            marked = chunk.copy()
            flat = marked.reshape(len(marked), -1)
            flat[:, :64] = (flat[:, :64] & 0xFE) | bits
            yield marked

    def extract(self, chunks: Iterable[Frames], *, fps: float) -> Reading:
        del fps
        if self.fault is not None:
            raise self.fault
        found = {
            bytes(np.packbits(frame.reshape(-1)[:64] & 1)).hex()
            for chunk in chunks
            for frame in chunk
        }
        if len(found) != 1:
            return nothing(algorithm=self.name, frames_read=8, pilot_score=0.0)
        return Reading(
            payload=Payload.from_hex(found.pop()),
            certain=self.certain,
            log10_p=-19.0 if self.certain else -1.0,
            key_id="k1",
            mode="self_contained",
            geometry=None,
            spans=(),
            frames_read=8,
            pilot_score=9.0,
            algorithm=self.name,
        )


@dataclass
class FakeLooks:
    """Knows a clip by the sum of its pixels."""

    fault: BaseException | None = None
    given: list[bytes] = field(default_factory=list)

    def record(self, chunks: Iterable[Frames], *, fps: float) -> bytes:
        assert fps > 0
        if self.fault is not None:
            raise self.fault
        self.given.append(f"sum {sum(int(chunk.sum()) for chunk in chunks)}".encode())
        return self.given[-1]


@dataclass
class FakeSealer:
    """Writes the clip id behind the file, and reads it from there."""

    named: str | None = None
    fault: BaseException | None = None

    def seal(
        self, order: Order, source: Path, target: Path, *, thumbnail: bytes, fingerprint: bytes
    ) -> str:
        assert thumbnail
        assert fingerprint
        if self.fault is not None:
            raise self.fault
        seal = json.dumps({"clip": self.named or order.clip_id}).encode()
        target.write_bytes(source.read_bytes() + b"|seal|" + seal)
        return f"urn:fake:{order.clip_id}"

    def named_clip(self, path: Path) -> str:
        _, mark, seal = path.read_bytes().rpartition(b"|seal|")
        if not mark:
            raise StageUnavailable("There is no seal.")
        return str(json.loads(seal)["clip"])


@dataclass
class SwitchedLog:
    """The real sequencer, until ``covers`` is switched off."""

    sequencer: Sequencer
    covers: bool = True

    def wait_until_covered(self, event_id: str, timeout: float) -> int:
        if self.covers:
            return self.sequencer.wait_until_covered(event_id, timeout)
        raise StageUnavailable("The entry is not under a checkpoint.")


class PlainSteps:
    """Runs each effect at once, remembering nothing."""

    def run(self, name: str, effect: Any) -> Facts:
        assert name
        facts: Facts = effect()
        return facts

    def checkpoint(self) -> None:
        """Never stops."""


class FakeQueue:
    """Remembers what was enqueued."""

    def __init__(self) -> None:
        self.jobs: list[str] = []
        self.asked: list[dict[str, Any]] = []

    def enqueue(self, session: Any, video_id: str, **where: Any) -> None:
        assert session.in_transaction()
        self.jobs.append(video_id)
        self.asked.append(where)


@dataclass(frozen=True)
class FakeCard:
    """A model that makes small clips."""

    sizes: tuple[str, ...] = ("32x16", "64x32")
    seconds: tuple[int, ...] = (1, 2)
