"""Measures the prompt gate: recall per policy and language, over-block, disguises, latency.

Run as ``python -m tests.bench.prompts --data DIR [--limit N] [--peers]``; DIR holds the folders
``dev`` (evaluation only) and ``train`` (for the floor beside it). Sets that fixed thresholds
are marked "tune", the others "report"; of our own bold prompts every second one is "tune".
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from safety.moderation import PromptGate
from safety.policy import POLICY_PATH, Policy
from safety.rules import RuleBook, RuleModerator
from safety.text_model import UseModerator
from safety.training.prompts.calibrate import TUNE
from safety.training.prompts.disguise import DISGUISES
from safety.verdict import Action, Category, Verdict

ROOT = Path(__file__).parents[2]
OURS = ROOT / "tests" / "data"
EDGY = OURS / "edgy_film_prompts.toml"
PARALLEL = OURS / "unsafe_parallel.toml"
FAMILY = OURS / "family_captions.toml"
OUT = ROOT / "docs" / "benchmarks" / "prompts.json"
SEED = 7
RESAMPLES = 1000
# Latency on a machine with other work is noise; the figure says how many cores were busy.
BENIGN = (
    "devil", "phygenbench", "drawbench", "t2v_compbench", "evalcrafter", "vbench_cn",
    "multi30k_train", "mlc_typical_safe",
)  # fmt: skip
UNSAFE = (
    "t2vsafetybench_dev", "t2i_riskyprompt", "unsafe_diffusion", "copycat_characters",
    "adversarial_nibbler_r3", "ailuminate_demo", "ailuminate_multilingual", "strongreject",
    "harmbench", "jailbreakbench_artifacts",
)  # fmt: skip
CREATIVE = ("drawbench", "t2v_compbench", "evalcrafter", "vbench_cn", "devil", "phygenbench")

# Names of people, characters, brands and artists stop a prompt by right, also a benign one.
NEEDS_RECORD = frozenset(
    {Category.PUBLIC_FIGURE, Category.IP_CHARACTER_BRAND, Category.LIVING_ARTIST_STYLE}
)

Row = dict[str, Any]


def read(data: Path, source: str) -> list[Row]:
    rows: list[Row] = []
    for path in sorted((data / "dev").glob(f"{source}.*")):
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            rows += map(json.loads, stream)
    return rows


def sampled(rows: Sequence[Row], limit: int) -> list[Row]:
    return list(rows) if len(rows) <= limit else random.Random(SEED).sample(list(rows), limit)


def shares(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Shares blocked and stopped (blocked or held), with a 95 % bootstrap interval."""
    blocked = [v.action is Action.BLOCK for v in verdicts]
    stopped = [v.action is not Action.ALLOW for v in verdicts]
    others = [any(r.category not in NEEDS_RECORD for r in v.reasons) for v in verdicts]
    draw = random.Random(SEED)
    means = sorted(
        sum(draw.choices(stopped, k=len(stopped))) / len(stopped) for _ in range(RESAMPLES)
    )
    reasons = Counter(
        r.category.value if r.category else "fault" for v in verdicts for r in v.reasons
    )
    return {
        "rows": len(verdicts),
        "blocked": round(sum(blocked) / len(blocked), 4),
        "stopped": round(sum(stopped) / len(stopped), 4),
        "stopped_not_for_names": round(sum(others) / len(others), 4),
        "stopped_95": [round(means[25], 4), round(means[-26], 4)],
        "reasons": dict(reasons.most_common(6)),
    }


def show(title: str, found: dict[str, Any]) -> None:
    low, high = found["stopped_95"]
    print(
        f"{title:44} {found['rows']:5d}  blocked {found['blocked']:6.1%}  stopped "
        f"{found['stopped']:6.1%} [{low:.1%}, {high:.1%}]  {found['reasons']}"
    )


def measure(gate: PromptGate, data: Path, limit: int) -> dict[str, Any]:
    result: dict[str, Any] = {"benign": {}, "unsafe": {}, "policy": {}, "edgy": {}}

    def judge(texts: Iterable[str]) -> list[Verdict]:
        return list(gate.judge(list(texts)))

    for source in BENIGN:
        rows = [r for r in read(data, source) if r["label"] == 0]
        parts = {source: rows}
        if len({r["lang"] for r in rows}) > 1:
            parts = {
                f"{source}/{lang}": [r for r in rows if r["lang"] == lang]
                for lang in sorted({r["lang"] for r in rows})
            }
        for name, part in parts.items():
            found = shares(judge(r["text"] for r in sampled(part, limit)))
            found["use"] = "tune" if source in TUNE else "report"
            result["benign"][name] = found
            show(f"benign {name} ({found['use']})", found)
    edgy = tomllib.loads(EDGY.read_text("utf-8"))
    for use, first in (("tune", 0), ("report", 1)):
        halves = {lang: texts[first::2] for lang, texts in edgy.items()}
        halves["all"] = [t for part in halves.values() for t in part]
        for lang, texts in halves.items():
            found = shares(judge(texts))
            result["edgy"].setdefault(use, {})[lang] = found
            show(f"edgy film prompts {lang} ({use})", found)
    result["parallel"] = parallel(judge)
    result["family"] = family(judge)
    by_policy: dict[str, list[Verdict]] = {}
    for source in UNSAFE:
        rows = sampled([r for r in read(data, source) if r["label"] == 1], limit)
        verdicts = judge(r["text"] for r in rows)
        found = shares(verdicts)
        found["use"] = "tune" if source in TUNE else "report"
        result["unsafe"][source] = found
        show(f"unsafe {source} ({found['use']})", found)
        if source in ("t2vsafetybench_dev", "t2i_riskyprompt"):
            for row, verdict in zip(rows, verdicts, strict=True):
                for policy in row["policy"]:
                    by_policy.setdefault(f"{source}/{policy}", []).append(verdict)
    for policy, verdicts in sorted(by_policy.items()):
        result["policy"][policy] = shares(verdicts)
        show(f"recall {policy}", result["policy"][policy])
    result["disguise"] = disguises(judge, data, limit)
    result["latency_ms"] = latency(gate, data)
    return result


def parallel(judge: Callable[[Iterable[str]], list[Verdict]]) -> Any:
    """One meaning in ten languages, and its harmless twin in much the same words."""
    rows = tomllib.loads(PARALLEL.read_text("utf-8"))["prompt"]
    languages = list(rows[0]["benign"])
    result: dict[str, Any] = {"languages": {}, "policies": {}}
    by_policy: dict[str, list[Verdict]] = {}
    for lang in languages:
        verdicts = judge(row[lang] for row in rows)
        twins = judge(row["benign"][lang] for row in rows)
        result["languages"][lang] = {"unsafe": shares(verdicts), "twins": shares(twins)}
        show(f"parallel unsafe {lang}", result["languages"][lang]["unsafe"])
        show(f"parallel twins {lang}", result["languages"][lang]["twins"])
        for row, verdict in zip(rows, verdicts, strict=True):
            by_policy.setdefault(row["policy"], []).append(verdict)
    for policy, found in sorted(by_policy.items()):
        result["policies"][policy] = shares(found)
        show(f"parallel {policy}", result["policies"][policy])
    return result


def family(judge: Callable[[Iterable[str]], list[Verdict]]) -> Any:
    """Ordinary captions about children: how many the rule that protects them blocks."""
    texts = [t for part in tomllib.loads(FAMILY.read_text("utf-8")).values() for t in part]
    verdicts = judge(texts)
    found = shares(verdicts)
    found["blocked_for_minors"] = sum(
        reason.category is Category.SEXUAL_MINORS for v in verdicts for reason in v.reasons
    )
    show("family captions", found)
    return found


def beside(gate: PromptGate, data: Path, limit: int) -> dict[str, dict[str, float]]:
    """Other filters and the gate: the share of the same prompts that each stops."""
    from tests.bench.prompt_peers import peers, table

    rows = tomllib.loads(PARALLEL.read_text("utf-8"))["prompt"]
    edgy = tomllib.loads(EDGY.read_text("utf-8"))
    creative = [r["text"] for s in ("devil", "phygenbench") for r in read(data, s)]
    draw = random.Random(SEED)
    unsafe = sampled(read(data, "t2vsafetybench_dev"), limit)
    sets = {
        "creative (thresholds)": [r["text"] for r in sampled(read(data, "devil"), limit)],
        "creative (t2v_compbench)": [
            r["text"] for r in sampled(read(data, "t2v_compbench"), limit)
        ],
        "bold film prompts": [t for part in edgy.values() for t in part[1::2]],
        "unsafe video prompts": [r["text"] for r in unsafe],
        "the same, spaced": [DISGUISES["spaced"](r["text"], draw) for r in unsafe],
        "the same, leet": [DISGUISES["leet"](r["text"], draw) for r in unsafe],
        "unsafe, English": [row["en"] for row in rows],
        "unsafe, nine other languages": [
            row[k] for row in rows for k in row["benign"] if k != "en"
        ],
        "harmless twins, ten languages": [t for row in rows for t in row["benign"].values()],
    }
    stops = peers(data, creative)
    stops["this gate"] = lambda asked: [
        v.action is not Action.ALLOW for v in gate.judge(list(asked))
    ]
    found = {
        name: {who: sum(stop(texts)) / len(texts) for who, stop in stops.items()}
        for name, texts in sets.items()
    }
    print(table(found))
    return found


def disguises(judge: Callable[[Iterable[str]], list[Verdict]], data: Path, limit: int) -> Any:
    draw = random.Random(SEED)
    unsafe = [r["text"] for r in read(data, "t2vsafetybench_dev")]
    benign = [r["text"] for r in read(data, "t2v_compbench") + read(data, "drawbench")]
    unsafe = draw.sample([t for t in unsafe if len(t) < 200], min(300, limit))
    benign = draw.sample([t for t in benign if len(t) < 200], min(300, limit))
    result = {"plain": {"unsafe": shares(judge(unsafe)), "benign": shares(judge(benign))}}
    for name, disguise in sorted(DISGUISES.items()):
        result[name] = {
            "unsafe": shares(judge(disguise(t, draw) for t in unsafe)),
            "benign": shares(judge(disguise(t, draw) for t in benign)),
        }
    for name, pair in result.items():
        show(f"disguise {name} unsafe", pair["unsafe"])
        show(f"disguise {name} benign", pair["benign"])
    return result


def latency(gate: PromptGate, data: Path) -> dict[str, Any]:
    """Milliseconds per call with one prompt, first call left out."""
    texts = [r["text"] for r in sampled(read(data, "devil"), 100)]
    long = [r["text"] for r in read(data, "t2vsafetybench_dev") if len(r["text"]) > 400][:60]
    result: dict[str, Any] = {"load_average": os.getloadavg()[0], "cores": os.cpu_count()}
    for name, batch in (("short", texts), ("long", long)):
        times, busy = [], []
        for text in batch:
            began, cpu = time.perf_counter(), time.process_time()
            gate.judge([text])
            times.append((time.perf_counter() - began) * 1000)
            busy.append((time.process_time() - cpu) * 1000)
        times.sort()
        busy.sort()
        result[name] = {
            "p50": round(times[len(times) // 2], 1),
            "p95": round(times[int(len(times) * 0.95)], 1),
            "cpu_p50": round(busy[len(busy) // 2], 1),
            "cpu_p95": round(busy[int(len(busy) * 0.95)], 1),
            "chars_p50": sorted(map(len, batch))[len(batch) // 2],
        }
    print("latency", result)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=600)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--peers", action="store_true", help="other filters in the same run")
    options = parser.parse_args()
    policy = Policy.load(POLICY_PATH)
    moderators = (RuleModerator(book=RuleBook.load()), UseModerator())
    gate = PromptGate(moderators=moderators, policy=policy)
    result = measure(gate, options.data, options.limit)
    if options.peers:
        result["beside"] = beside(gate, options.data, options.limit)
    result["policy_hash"] = policy.hash
    result["judges"] = [m.name for m in moderators]
    result["limit"] = options.limit
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", "utf-8")
    creative = [result["benign"][name] for name in CREATIVE]
    rows = sum(f["rows"] for f in creative)
    blocked = sum(f["blocked"] * f["rows"] for f in creative) / rows
    stopped = sum(f["stopped"] * f["rows"] for f in creative) / rows
    other = sum(f["stopped_not_for_names"] * f["rows"] for f in creative) / rows
    recall = result["unsafe"]["t2vsafetybench_dev"]["stopped"]
    print(
        f"Of {rows} creative benign prompts {blocked:.1%} were blocked and {stopped:.1%} "
        f"blocked or held ({other:.1%} for anything but a name); of the unsafe video "
        f"prompts {recall:.0%} were stopped; "
        f"p95 {result['latency_ms']['short']['p95']} ms."
    )


if __name__ == "__main__":
    main()
