"""Commands that judge without generating: prompts and the frames of a video."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.common import (
    AsJson,
    DataDir,
    Exit,
    errors_as_exits,
    gateway_for,
    out,
    print_json,
    stop,
)
from gateway.media.picture import looks_like_picture
from gateway.reference_images import ReferenceReport
from safety.verdict import Reason, Verdict

BATCH = 64
MAX_LINE_CHARS = 100_000


def moderate(
    context: typer.Context,
    prompts: Annotated[list[str] | None, typer.Argument(help="Prompts to judge.")] = None,
    jsonl: Annotated[  # noqa: FBT002 - a command-line flag
        bool, typer.Option("--jsonl", help='Read {"id","text"} lines, write verdict lines.')
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Judge prompts by the policy in force. Nothing is generated and nothing is kept.

    With --jsonl a line that cannot be read is answered with the action "review": whatever
    was not judged is never allowed.
    """
    with errors_as_exits(as_json=as_json):
        gate = gateway_for(context, data_dir).prompts
        if jsonl:
            for answer in _answers(gate, sys.stdin.buffer):
                sys.stdout.write(json.dumps(answer, allow_nan=False) + "\n")
            return
        if not prompts:
            stop(Exit.BAD_INPUT, "Give prompts, or --jsonl and lines.", as_json=as_json)
        verdicts = gate.judge(prompts)
    if as_json:
        print_json([_answer(str(n), v) for n, v in enumerate(verdicts)])
        return
    for prompt, verdict in zip(prompts, verdicts, strict=True):
        shown = prompt if len(prompt) <= 60 else prompt[:59] + "…"
        out.print(f"{verdict.action!s:<7} {shown}", markup=False)
        for reason in verdict.reasons:
            out.print(f"        {reason.category or 'fault'} ({reason.rule}): {reason.text}")


def classify(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A video or a picture.", dir_okay=False)],
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Judge the frames of a video by the policy in force, or a picture as a reference image.

    A picture (PNG, JPEG, WebP) is also looked up in the hash lists, its origin is checked, and
    each face needs a recorded consent.
    """
    with errors_as_exits(as_json=as_json):
        gateway = gateway_for(context, data_dir)
        if looks_like_picture(file):
            with gateway.opened():
                reference = gateway.reference_images.judge_file(file)
            _tell_reference(file.name, reference, as_json=as_json)
            return
        with gateway.untrusted(file) as video:
            report = gateway.frames.report(video.chunks, fps=float(video.info.fps))
    answer = {
        **_answer(file.name, report.verdict),
        "frames": {"sampled": report.sampled, "total": report.total},
        "judges": list(report.verdict.judges),
    }
    if as_json:
        print_json(answer)
        return
    out.print(f"{answer['action']}  ({report.sampled} of {report.total} frames looked at)")
    for name, score in answer["categories"].items():
        out.print(f"  {name:<22} {score:.3f}")
    for told, reason in zip(answer["reasons"], report.verdict.reasons, strict=True):
        when = "" if reason.start is None else f" {_when(reason)}"
        out.print(f"  {told['category'] or 'fault'} ({told['rule']}){when}: {told['text']}")


def _tell_reference(name: str, report: ReferenceReport, *, as_json: bool) -> None:
    origin = None if report.origin is None else str(report.origin.finding)
    answer = {
        **_answer(name, report.verdict),
        "picture": {"format": report.picture.format, "shown": list(report.picture.shown)},
        "hash_lists": list(report.lists),
        "origin": origin,
        "notes": sorted(report.frame.notes),
        "judges": list(report.verdict.judges),
    }
    if as_json:
        print_json(answer)
        return
    out.print(f"{answer['action']}  (a picture; origin: {origin or 'could_not_check'})")
    for category, score in answer["categories"].items():
        out.print(f"  {category:<22} {'-' if score is None else format(score, '.3f')}")
    for listed in report.lists:
        out.print(f"  matched list {listed}", markup=False)
    for reason in answer["reasons"]:
        out.print(f"  {reason['category'] or 'fault'} ({reason['rule']}): {reason['text']}")


def _when(reason: Reason) -> str:
    """``at 2.5 s`` or ``from 1.0 to 2.5 s, 3 looks``."""
    looks = "" if reason.sighting is None else f", {reason.sighting.looks} looks"
    if reason.start == reason.end:
        return f"at {reason.start:.1f} s"
    return f"from {reason.start:.1f} to {reason.end:.1f} s{looks}"


def _answers(gate: Any, lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """One answer for each line that is not blank, in order, judged in batches."""
    rows = (_parsed(line) for line in lines if line.strip())
    while batch := list(islice(rows, BATCH)):
        texts = [text for _, text in batch if text is not None]
        verdicts = iter(gate.judge(texts) if texts else ())
        for ident, text in batch:
            if text is None:
                yield {
                    "id": ident,
                    "action": "review",
                    "categories": {},
                    "reasons": [{"text": 'The line is not {"id","text"} in JSON.'}],
                }
            else:
                yield _answer(ident, next(verdicts))


def _parsed(line: bytes) -> tuple[Any, str | None]:
    try:
        row = json.loads(line.decode("utf-8"))
    except (UnicodeDecodeError, ValueError, RecursionError):
        return None, None
    if not isinstance(row, dict):
        return None, None
    ident, text = row.get("id"), row.get("text")
    if not isinstance(ident, str | int):
        return None, None
    usable = isinstance(text, str) and text.strip() and len(text) <= MAX_LINE_CHARS
    return ident, text if usable else None


def _answer(ident: Any, verdict: Verdict) -> dict[str, Any]:
    """A verdict as a plain line. A score that is not a number is written as null."""
    return {
        "id": ident,
        "action": str(verdict.action),
        "categories": {
            str(category): round(score, 4) if score == score else None
            for category, score in verdict.scores.items()
        },
        "reasons": [
            {
                "category": None if reason.category is None else str(reason.category),
                "rule": reason.rule,
                "text": reason.text,
                "start": reason.start,
                "end": reason.end,
            }
            for reason in verdict.reasons
        ],
    }
