"""The policy: turns scores into a verdict, and says why.

The rules are data (``policy.toml``), read once into frozen values. Nothing here looks at a
prompt or a picture; the same scores under the same file always give the same verdict.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from safety.circumstances import STRICTEST, Circumstances
from safety.limits import Limits, Rule, Tier
from safety.policy_file import FAULT_RULE, PolicyFile, PolicyInvalid
from safety.review import STRICTEST_REVIEW, Review
from safety.sightings import grounds, is_time
from safety.soundness import faults
from safety.verdict import Action, Category, FrameScores, Reason, Stage, Verdict
from safety.windows import Window

POLICY_PATH = Path(__file__).parent / "policy.toml"
"""The policy that ships with the package."""

__all__ = ["FAULT_RULE", "POLICY_PATH", "Limits", "Policy", "PolicyInvalid", "Rule", "Tier"]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A complete set of rules, one for each category of the taxonomy, and dated windows.

    ``hash`` is the SHA-256 (hex) of the file the policy came from. ``minor_sexual_limit`` is
    the sexual score from which a text that also speaks of a minor counts as
    ``sexual_minors``. The constructor raises PolicyInvalid, with one sentence per fault, when
    anything that ``safety.soundness`` lists does not hold.
    """

    version: str
    hash: str
    rules: Mapping[Category, Rule]
    minor_sexual_limit: float
    fault_text: str
    windows: tuple[Window, ...] = ()
    review: Review = STRICTEST_REVIEW

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", MappingProxyType(dict(self.rules)))
        if found := tuple(faults(self.rules, self.windows, reserved=FAULT_RULE)):
            raise PolicyInvalid(" ".join(found))
        if not 0.0 < self.minor_sexual_limit <= 1.0:
            raise PolicyInvalid("The limit for sexual scores beside a minor must be in 0..1.")

    @classmethod
    def load(cls, path: Path) -> Policy:
        """Reads a policy file; raises PolicyInvalid when it is absent or not valid."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise PolicyInvalid("The policy file cannot be read.") from error
        return cls.parse(content)

    @classmethod
    def parse(cls, content: bytes) -> Policy:
        """Reads a policy from the bytes of its TOML file; raises PolicyInvalid."""
        raw = PolicyFile.read(content)
        return cls(
            version=raw.version,
            hash=hashlib.sha256(content).hexdigest(),
            rules=raw.rules,
            windows=raw.windows,
            review=raw.review,
            minor_sexual_limit=raw.minor_sexual_limit,
            fault_text=raw.fault_text,
        )

    def judge(
        self,
        scores: Mapping[Category, float],
        *,
        stage: Stage,
        judges: tuple[str, ...],
        circumstances: Circumstances = STRICTEST,
    ) -> Verdict:
        """The verdict on one item from its scores, each a number in 0..1.

        Total: it answers for any mapping. A category that the policy judges at this stage and
        that has no score → REVIEW. A score that is not a number in 0..1 → BLOCK. A key that is
        no category → BLOCK. No scores at all → REVIEW. The strictest of the audience's limits
        and of every window that is, or may be, open counts; a window that made it stricter is
        a reason of its own.
        """
        return self._judge(scores, stage, judges, circumstances)

    def _judge(
        self,
        scores: Mapping[Category, float],
        stage: Stage,
        judges: tuple[str, ...],
        circumstances: Circumstances,
    ) -> Verdict:
        known, faulty = self._sift(scores, stage)
        open_now = self.open_windows(circumstances)
        reasons = list(faulty.values())
        for category, rule in self.rules.items():
            limits = rule.limits(stage, circumstances.audience)
            if limits is None or category in faulty:
                continue
            if category not in known:
                reasons.append(self.fault(category, stage))
                continue
            reasons += _grounds(rule, limits, open_now, known[category], stage)
        return self._verdict(tuple(reasons), known, stage, judges, circumstances)

    def judge_frames(
        self,
        frames: Sequence[FrameScores],
        *,
        judges: tuple[str, ...],
        circumstances: Circumstances = STRICTEST,
    ) -> Verdict:
        """The verdict on a clip from the scores of its sampled frames.

        ``scores`` of the verdict are the highest per category; a bad score in any frame blocks
        and is never hidden by a good one. Each unbroken run of flagged frames is one reason,
        with the time of its first and last frame in seconds. No frames, or a frame without a
        usable time → REVIEW.
        """
        if not frames:
            held = (self.fault(None, Stage.FRAMES),)
            return self._verdict(held, {}, Stage.FRAMES, judges, circumstances)
        highest: dict[Category, float] = {}
        reasons: list[tuple[Reason, ...]] = []
        for frame in frames:
            verdict = self._judge(frame.scores, Stage.FRAMES, judges, circumstances)
            for category, score in verdict.scores.items():
                highest[category] = max(score, highest.get(category, 0.0))
            timeless = () if is_time(frame.seconds) else (self.fault(None, Stage.FRAMES),)
            reasons.append((*verdict.reasons, *timeless))
        found = grounds(frames, reasons)
        return self._verdict(found, highest, Stage.FRAMES, judges, circumstances)

    def open_windows(self, circumstances: Circumstances) -> tuple[Window, ...]:
        """The windows that are open there and then, or that may be for all that is known."""
        return tuple(window for window in self.windows if window.is_open(circumstances))

    def may_release(self, action: Action, grounds: Collection[str]) -> bool:
        """True when a person may turn a verdict with these ``Verdict.grounds`` into ALLOW.

        Only a REVIEW may be turned, and only when it has grounds, each of them a fault or of
        a rule that is overridable now, whichever policy the verdict was given under.
        """
        return (
            action is Action.REVIEW
            and bool(grounds)
            and all(self._is_overridable(ground) for ground in grounds)
        )

    def _is_overridable(self, ground: str) -> bool:
        name = ground.partition(":")[0]
        category = _category(name)
        return name == "-" if category is None else self.rules[category].overridable

    def fault(self, category: Category | None, stage: Stage) -> Reason:
        """The ground for holding an item that could not be judged completely."""
        return Reason(
            category=category,
            stage=stage,
            rule=FAULT_RULE,
            text=self.fault_text,
            action=Action.REVIEW,
        )

    def _sift(
        self, scores: Mapping[Category, float], stage: Stage
    ) -> tuple[dict[Category, float], dict[Category | None, Reason]]:
        """Parts the usable scores from those that must stop the item."""
        known: dict[Category, float] = {}
        reasons: dict[Category | None, Reason] = {}
        for key, score in scores.items():
            category = _category(key)
            if category is not None and _is_score(score):
                known[category] = float(score)
                continue
            reasons[category] = Reason(
                category=category,
                stage=stage,
                rule=FAULT_RULE,
                text=self.fault_text,
                action=Action.BLOCK,
            )
        return known, reasons

    def _verdict(
        self,
        reasons: tuple[Reason, ...],
        scores: Mapping[Category, float],
        stage: Stage,
        judges: tuple[str, ...],
        circumstances: Circumstances,
    ) -> Verdict:
        ordered = tuple(sorted(reasons, key=lambda r: (-r.action.severity, r.start or 0.0)))
        action = ordered[0].action if ordered else Action.ALLOW
        return Verdict(
            action=action,
            scores=scores,
            reasons=ordered,
            policy=self.hash,
            judges=judges,
            stage=stage,
            circumstances=circumstances.words(),
        )


def _grounds(
    rule: Rule, limits: Limits, open_now: tuple[Window, ...], score: float, stage: Stage
) -> list[Reason]:
    """Why this score stops the item: the rule, and each window that is stricter than it."""
    action = limits.act(score)
    named: list[tuple[str, str, Action]] = []
    if action is not Action.ALLOW:
        named.append((rule.rule, rule.text, action))
    for window in open_now:
        if rule.category in window.categories:
            inside = window.tighten(limits).act(score)
            if inside.severity > action.severity:
                named.append((window.rule, window.text, inside))
    return [
        Reason(category=rule.category, stage=stage, rule=ident, text=text, action=follows)
        for ident, text, follows in named
    ]


def _category(key: object) -> Category | None:
    try:
        return Category(key)  # type: ignore[arg-type]  # the world may send anything
    except ValueError:
        return None


def _is_score(score: object) -> bool:
    if isinstance(score, bool):
        return False
    try:
        number = float(score)  # type: ignore[arg-type]  # numpy scalars are welcome
    except (TypeError, ValueError, OverflowError):
        return False
    return not isinstance(score, str) and 0.0 <= number <= 1.0
