"""Measures submissions: harm split over requests, negative prompts, and what they cost.

Run as ``python -m tests.bench.sequences [--captions DIR] [--windows N]``; DIR holds JSON lines
of benign captions (``*.jsonl.gz`` with ``text`` and ``label``). No threshold is fixed here.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import statistics
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from safety.moderation import PromptGate
from safety.policy import POLICY_PATH, Policy
from safety.rules import RuleBook, RuleModerator
from safety.submission import Part, PartKind, Submission, SubmissionGate
from safety.text_model import UseModerator
from safety.training.prompts.grammar import Grammar
from safety.verdict import Action, Category

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
# The second was written after the chains, which have not been changed for it.
SPLIT = {"first": DATA / "split_sequences.toml", "fresh": DATA / "split_sequences_fresh.toml"}
NEGATIVE = DATA / "negative_prompts.toml"
EDGY = DATA / "edgy_film_prompts.toml"
OUT = ROOT / "docs" / "benchmarks" / "sequences.json"
CAPTIONS = ("vbench", "vbench_long", "fetv", "chronomagic", "coco_captions", "partiprompts")
SEED = 11
WINDOW = 5


def gate() -> SubmissionGate:
    moderators = (RuleModerator(book=RuleBook.load()), UseModerator())
    return SubmissionGate(
        gate=PromptGate(moderators=moderators, policy=Policy.load(POLICY_PATH))
    )


def asked(prompt: str, recent: Sequence[str] = ()) -> Submission:
    part = Part(kind=PartKind.PROMPT, text=prompt)
    return Submission(parts=(part,), recent=tuple(recent))


def outcome(judge: SubmissionGate, prompts: Sequence[str]) -> str:
    """Where a creator who asks for these, one after the other, is stopped, and by what."""
    accepted: list[str] = []
    for prompt in prompts:
        if judge.weigh(asked(prompt)).action is not Action.ALLOW:
            return "alone"
        verdict = judge.weigh(asked(prompt, accepted))
        if verdict.action is not Action.ALLOW:
            return "together"
        accepted.append(prompt)
    return "passed"


def in_one_prompt(judge: SubmissionGate, prompts: Sequence[str]) -> str:
    """What becomes of the same as a shot list in one prompt."""
    verdict = judge.weigh(asked(" ".join(f"{n}. {p}." for n, p in enumerate(prompts, 1))))
    if verdict.action is Action.ALLOW:
        return "passed"
    composite = any(r.category is Category.TEMPORAL_COMPOSITE for r in verdict.reasons)
    return "together" if composite else "alone"


def written(
    judge: SubmissionGate, how: Callable[[SubmissionGate, Sequence[str]], str]
) -> dict[str, dict[str, int]]:
    return {
        f"{name} {kind}": dict(Counter(how(judge, row["prompts"]) for row in part))
        for name, path in SPLIT.items()
        for kind, part in tomllib.loads(path.read_text("utf-8")).items()
    }


def negatives(judge: SubmissionGate) -> dict[str, dict[str, Any]]:
    """Negative prompts with harmless prompts, which all pass without one."""
    rows = tomllib.loads(NEGATIVE.read_text("utf-8"))
    found: dict[str, dict[str, Any]] = {}
    for kind, scenes in (
        ("usual", [*rows["scenes"], *rows["people"]]),
        ("misuse", rows["people"]),
    ):
        stopped: Counter[str] = Counter()
        for scene in scenes:
            alone = Part(kind=PartKind.PROMPT, text=scene)
            if judge.weigh(Submission(parts=(alone,))).action is not Action.ALLOW:
                continue
            for text in rows[kind]:
                negative = Part(kind=PartKind.NEGATIVE_PROMPT, text=text)
                verdict = judge.weigh(Submission(parts=(alone, negative)))
                stopped[str(verdict.action)] += 1
        found[kind] = dict(stopped)
    return found


def pools(captions: Path | None) -> dict[str, list[list[str]]]:
    """Name → lists of benign prompts of one creator's language."""
    grammar = Grammar(SEED)
    own: dict[str, list[str]] = {}
    for row in grammar.rows({"*": 1}):
        if row.kind == "near":
            own.setdefault(row.lang, []).append(row.text)
    for lang, texts in own.items():
        texts += [grammar.everyday(lang).text for _ in range(len(texts))]
    edgy = tomllib.loads(EDGY.read_text("utf-8"))
    found = {
        "own near misses and everyday": list(own.values()),
        "edgy film prompts": [texts for texts in edgy.values() if len(texts) > WINDOW],
    }
    if captions is not None:
        rows = []
        for name in CAPTIONS:
            with gzip.open(captions / f"{name}.jsonl.gz", "rt", encoding="utf-8") as stream:
                rows += [row["text"] for row in map(json.loads, stream) if row["label"] == 0]
        found["captions"] = [rows]
    return found


def windows(lists: list[list[str]], count: int) -> Iterator[list[str]]:
    draw = random.Random(SEED)
    for _ in range(count):
        yield draw.sample(draw.choice(lists), WINDOW)


def benign(judge: SubmissionGate, lists: list[list[str]], count: int) -> dict[str, Any]:
    """Windows whose last prompt passes alone: how many are held for the four before it."""
    held, seen = 0, 0
    times: dict[str, list[float]] = {"alone": [], "in_window": []}
    why: Counter[str] = Counter()
    for prompts in windows(lists, count):
        *earlier, last = prompts
        started = time.process_time()
        alone = judge.weigh(asked(last))
        between = time.process_time()
        if alone.action is not Action.ALLOW:
            continue
        verdict = judge.weigh(asked(last, earlier))
        times["alone"].append(1000 * (between - started))
        times["in_window"].append(1000 * (time.process_time() - between))
        seen += 1
        held += verdict.action is not Action.ALLOW
        why.update(r.category.value if r.category else "fault" for r in verdict.reasons)
    return {
        "windows": seen,
        "held": held,
        "share": round(held / max(seen, 1), 4),
        "reasons": dict(why.most_common(6)),
        **{f"cpu_ms_{k}_median": round(statistics.median(t), 1) for k, t in times.items()},
        **{
            f"cpu_ms_{k}_p95": round(statistics.quantiles(t, n=20)[-1], 1)
            for k, t in times.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--captions", type=Path)
    parser.add_argument("--windows", type=int, default=400)
    options = parser.parse_args()
    judge = gate()
    judge.judge(["warm up"])
    result: dict[str, Any] = {
        "requests": written(judge, outcome),
        "shot lists": written(judge, in_one_prompt),
        "negative prompts": negatives(judge),
        "benign windows": {},
    }
    for how in ("requests", "shot lists", "negative prompts"):
        for kind, found in result[how].items():
            print(f"{how:16} {kind:13} {found}")
    for name, lists in pools(options.captions).items():
        found = benign(judge, lists, options.windows)
        result["benign windows"][name] = found
        print(f"{name:30} {found}")
    OUT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    split = result["requests"]["fresh split"]
    caught = sum(n for key, n in split.items() if key != "passed")
    worst = max(found["share"] for found in result["benign windows"].values())
    print(
        f"Fresh split harm stopped: {caught} of {sum(split.values())},"
        f" {split.get('together', 0)} of them only together; benign windows held:"
        f" at most {worst:.1%}."
    )


if __name__ == "__main__":
    main()
