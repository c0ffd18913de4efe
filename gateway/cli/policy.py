"""Commands about the policy: check a file, compare two, explain a verdict, replay verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
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
from gateway.cli.verdicts import recorded_trials, recorded_verdicts
from gateway.schema import require_current
from safety.circumstances import Audience, Circumstances
from safety.difference import differences, summary
from safety.explanation import Explanation, explain
from safety.policy import FAULT_RULE, Policy, PolicyInvalid
from safety.regions import REGIONS
from safety.shadow import Scored, ShadowReport, compare
from safety.soundness import remarks
from safety.verdict import Action

app = typer.Typer(help="Check, compare, explain and try out policies.", no_args_is_help=True)

PolicyFile = Annotated[Path, typer.Argument(help="A policy file.", dir_okay=False)]
OtherPolicy = Annotated[
    Path | None,
    typer.Option("--policy", help="Under this file instead of the policy in force."),
]
Since = Annotated[str | None, typer.Option(help="ISO 8601 time with offset, or a day in UTC.")]
RegionCode = Annotated[str | None, typer.Option(help="Asked there: ISO 3166-1 alpha-2.")]
MAX_SUBJECTS_SHOWN = 20


@app.command()
def check(
    file: PolicyFile,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Say whether a file is a policy, its SHA-256, and what in it may not be meant.

    Exit code 1 when it is not valid.
    """
    with errors_as_exits(as_json=as_json):
        try:
            policy = Policy.load(file)
        except PolicyInvalid as fault:
            if as_json:
                print_json({"valid": False, "error": str(fault)})
            else:
                out.print(f"not valid: {fault}", markup=False)
            raise typer.Exit(Exit.FAULT) from fault
    told = list(remarks(policy.rules, policy.windows, now=datetime.now(UTC)))
    if as_json:
        document = {
            "valid": True,
            "version": policy.version,
            "sha256": policy.hash,
            "windows": [window.rule for window in policy.windows],
            "remarks": told,
        }
        print_json(document)
        return
    out.print(f"valid  version {policy.version}  sha256 {policy.hash}", markup=False)
    for window in policy.windows:
        out.print(f"  window {window.rule}: {summary(window)}", markup=False)
    for remark in told:
        out.print(f"  note: {remark}", markup=False)


@app.command()
def diff(
    old: PolicyFile,
    new: PolicyFile,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Say what the second policy treats differently, and whether it is stricter there.

    Exit code 0 when they mean the same, 1 when they differ.
    """
    with errors_as_exits(as_json=as_json), _policies(as_json=as_json):
        before, after = Policy.load(old), Policy.load(new)
    found = differences(before, after)
    if as_json:
        print_json(
            {
                "old": before.hash,
                "new": after.hash,
                "differences": [
                    {"place": d.place, "was": d.was, "now": d.now, "effect": d.effect.value}
                    for d in found
                ],
            }
        )
    else:
        for d in found:
            out.print(f"{d.effect.value:<8} {d.place}: {d.was} → {d.now}", markup=False)
        if not found:
            same = "the same file" if before.hash == after.hash else "another file"
            out.print(f"No difference in meaning ({same}).")
    if found:
        raise typer.Exit(Exit.FAULT)


@app.command(name="explain")
def explain_prompt(
    context: typer.Context,
    prompt: Annotated[str, typer.Argument(help="The prompt to judge.")],
    audience: Annotated[Audience, typer.Option(help="Who asks.")] = Audience.PUBLIC,
    region: RegionCode = None,
    at: Annotated[
        str | None, typer.Option(help="ISO 8601 time with offset.", show_default="now")
    ] = None,
    policy: OtherPolicy = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Judge one prompt and show each score beside the thresholds in force.

    For operators: a creator is never told a score. Nothing is kept.
    """
    with errors_as_exits(as_json=as_json), _policies(as_json=as_json):
        gateway = gateway_for(context, data_dir)
        _demand_region(region, as_json=as_json)
        moment = gateway.clock() if at is None else _moment(at, as_json=as_json)
        rules = gateway.policy if policy is None else Policy.load(policy)
        asked = Circumstances(audience=audience, region=region, at=moment)
        (verdict,) = replace(gateway.prompts, policy=rules).judge([prompt])
        found = explain(rules, Scored.of("prompt", verdict, asked))
        told = rules.judge(verdict.scores, stage=verdict.stage, judges=(), circumstances=asked)
        failed = [r for r in verdict.reasons if r.rule == FAULT_RULE and r.category is None]
    reasons = [
        {"rule": r.rule, "action": str(r.action), "text": r.text}
        for r in (*told.reasons, *failed)
    ]
    if as_json:
        print_json({**_as_document(found), "policy": rules.hash, "reasons": reasons})
        return
    where = region or "anywhere"
    out.print(f"{found.action}  for {audience}, {where}, {moment.isoformat()}", markup=False)
    out.print(f"policy {rules.version}  sha256 {rules.hash}", markup=False)
    for reason in reasons:
        out.print(f"  {reason['rule']}: {reason['text']}", markup=False)
    out.print(f"  {'category':<22} {'score':>6}  {'held':>6}  {'refused':>7}  action")
    for line in found.lines:
        windows = f"  in {', '.join(line.windows)}" if line.windows else ""
        out.print(
            f"  {line.category:<22} {_number(line.score):>6}  {_number(line.held_from):>6}"
            f"  {_number(line.refused_from):>7}  {line.action}{windows}",
            markup=False,
        )


@app.command()
def replay(
    context: typer.Context,
    policy: OtherPolicy = None,
    since: Since = None,
    at: Annotated[
        str | None, typer.Option(help="As if all were asked then.", show_default="as it was")
    ] = None,
    region: RegionCode = None,
    earlier: Annotated[
        list[Path] | None,
        typer.Option("--earlier", help="A policy that was in force; may be repeated."),
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Judge the recorded scores again under a policy and say what would change.

    Only reads. A verdict that lacks a score which the policy asks for is not compared, and
    counted as such. What the gate stopped for its own reasons stays stopped; to know these
    apart, the policy of the time must be at hand: the one in force, or given as --earlier.
    """
    with errors_as_exits(as_json=as_json), _policies(as_json=as_json):
        gateway = gateway_for(context, data_dir)
        require_current(gateway.settings.database)
        rules = gateway.policy if policy is None else Policy.load(policy)
        after = None if since is None else _moment(since, as_json=as_json)
        supposed: dict[str, Any] = {}
        if at is not None:
            supposed["at"] = _moment(at, as_json=as_json)
        if region is not None:
            supposed["region"] = region
        _demand_region(region, as_json=as_json)
        files = [gateway.policy, *(Policy.load(path) for path in earlier or ())]
        known = {each.hash: each for each in files}
        strangers: set[str] = set()

        def items() -> Iterator[Scored]:
            for item in recorded_verdicts(gateway.database, since=after):
                if (judged_by := known.get(item.policy)) is not None:
                    item = item.read_with(judged_by)
                else:
                    strangers.add(item.policy)
                yield replace(item, circumstances=replace(item.circumstances, **supposed))

        report = compare(items(), rules)
        gateway.close()
    if as_json:
        print_json({**_replayed(report), "unknown_policies": sorted(strangers)})
        return
    _print_replay(report)
    for name in sorted(strangers):
        out.print(f"Some were judged by a policy that is not at hand: {name}", markup=False)


@app.command()
def shadow(
    context: typer.Context,
    since: Since = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Show what the policy on trial said of new requests, beside what was decided.

    The setting ``shadow_policy`` names the file on trial. Only reads.
    """
    with errors_as_exits(as_json=as_json):
        gateway = gateway_for(context, data_dir)
        require_current(gateway.settings.database)
        after = None if since is None else _moment(since, as_json=as_json)
        trials = recorded_trials(gateway.database, since=after)
        gateway.close()
    documents = [
        {
            "policy": trial.policy,
            "moves": {_move(*move): times for move, times in sorted(trial.moves.items())},
            "subjects": list(trial.subjects),
        }
        for trial in trials
    ]
    if as_json:
        print_json({"trials": documents})
        return
    for trial in trials:
        out.print(f"policy {trial.policy}", markup=False)
        for (was, now), times in sorted(trial.moves.items()):
            out.print(f"  {_move(was, now):<16} {times}", markup=False)
        _print_subjects(trial.subjects)
    if not trials:
        out.print("No verdict on record has a shadow.")


@contextmanager
def _policies(*, as_json: bool) -> Iterator[None]:
    """A policy file that cannot be used ends the command."""
    try:
        yield
    except PolicyInvalid as fault:
        stop(Exit.BAD_INPUT, str(fault), as_json=as_json)


def _demand_region(region: str | None, *, as_json: bool) -> None:
    if region is None or region in REGIONS:
        return
    stop(Exit.BAD_INPUT, "That is no ISO 3166-1 alpha-2 code.", as_json=as_json)


def _moment(text: str, *, as_json: bool) -> datetime:
    """A time with its offset; a bare day begins at midnight in UTC."""
    with suppress(ValueError):
        moment = datetime.fromisoformat(f"{text}T00:00:00+00:00" if len(text) == 10 else text)
        if moment.utcoffset() is not None:
            return moment
    return stop(Exit.BAD_INPUT, "Write a time like 2027-04-05T00:00:00+02:00.", as_json=as_json)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _as_document(found: Explanation) -> dict[str, Any]:
    return {
        "action": str(found.action),
        "categories": {
            str(line.category): {
                "score": line.score,
                "held_from": line.held_from,
                "refused_from": line.refused_from,
                "action": str(line.action),
                "windows": list(line.windows),
            }
            for line in found.lines
        },
    }


def _move(was: Action, now: Action) -> str:
    return f"{was} → {now}"


def _replayed(report: ShadowReport) -> dict[str, Any]:
    return {
        "policy": report.policy,
        "compared": report.compared,
        "changed": len(report.changes),
        "incomparable": [
            {
                "subject": each.subject,
                "stage": str(each.stage),
                "missing": [str(category) for category in each.missing],
            }
            for each in report.incomparable
        ],
        "moves": {_move(*move): times for move, times in sorted(report.moves.items())},
        "by_category": {
            str(ground or "fault"): {_move(*m): n for m, n in sorted(moves.items())}
            for ground, moves in report.by_ground().items()
        },
        "by_audience": {
            str(audience): {_move(*m): n for m, n in sorted(moves.items())}
            for audience, moves in report.by_audience().items()
        },
        "changes": [
            {
                "subject": change.subject,
                "stage": str(change.stage),
                "audience": str(change.audience),
                "was": str(change.was),
                "now": str(change.now),
                "categories": [str(ground or "fault") for ground in change.grounds],
            }
            for change in report.changes
        ],
    }


def _print_replay(report: ShadowReport) -> None:
    told = _replayed(report)
    out.print(f"policy {report.policy}", markup=False)
    out.print(
        f"{report.compared} verdicts compared, {told['changed']} would change, "
        f"{len(report.incomparable)} not comparable (no score for what is judged)"
    )
    for move, times in told["moves"].items():
        was, _, now = move.partition(" → ")
        if was != now:
            out.print(f"  {move:<16} {times}", markup=False)
    for title, key in (("by category", "by_category"), ("by audience", "by_audience")):
        if told[key]:
            out.print(title)
        for name, moves in told[key].items():
            shown = ", ".join(f"{move} {times}" for move, times in moves.items())
            out.print(f"  {name:<22} {shown}", markup=False)
    _print_subjects(tuple(dict.fromkeys(change["subject"] for change in told["changes"])))


def _print_subjects(subjects: tuple[str, ...]) -> None:
    for subject in subjects[:MAX_SUBJECTS_SHOWN]:
        out.print(f"  {subject}", markup=False)
    if len(subjects) > MAX_SUBJECTS_SHOWN:
        out.print(f"  and {len(subjects) - MAX_SUBJECTS_SHOWN} more (--json has all)")
