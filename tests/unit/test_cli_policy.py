"""The policy commands: what an operator sees, and with which exit code."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.db import Database
from gateway.judges import policy_in_force
from gateway.record import verdict_row
from gateway.settings import Settings
from gateway.tables import VerdictRow
from safety.circumstances import STRICTEST, Audience, Circumstances
from safety.policy import POLICY_PATH, Policy
from safety.verdict import Action, Category, FrameScores, Reason, Stage, Verdict
from tests.unit.policies import CLEAN, CONTENT, ELECTION, NOON, POLICY

ODD = {**CLEAN, Category.POLITICAL_ELECTION: 0.4}
JUDGES = ("a@1",)


def run(*arguments: str | Path, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


def parsed(*arguments: str | Path, code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", code=code))


# The commands open the file in the data folder.
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def logs() -> Iterator[None]:
    """A command binds the logs to its own standard error, which is closed after it."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def stricter(tmp_path: Path) -> Path:
    path = tmp_path / "stricter.toml"
    path.write_bytes(CONTENT + ELECTION.encode())
    return path


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.toml"
    path.write_bytes(CONTENT.replace(b"review = 0.6", b"review = true", 1))
    return path


def test_check_says_that_a_policy_is_valid_and_what_may_not_be_meant(stricter: Path) -> None:
    told = run("policy", "check", stricter)
    policy = Policy.load(stricter)
    assert told.startswith(f"valid  version {policy.version}  sha256 {policy.hash}\n")
    assert "window EX-W1: FR, 2027-04-05T00:00:00+02:00 to 2027-05-02" in told
    assert "note: Not judged on frames: violence" in told
    document = parsed("policy", "check", stricter)
    assert (document["valid"], document["sha256"]) == (True, policy.hash)
    assert document["windows"] == ["CG-W1", "CG-W2", "EX-W1"]


def test_check_names_the_place_of_a_fault_and_ends_with_one(broken: Path) -> None:
    assert "categories.sexual_explicit.prompt.review" in run("policy", "check", broken, code=1)
    assert parsed("policy", "check", broken, code=1)["valid"] is False
    assert parsed("policy", "check", broken.with_name("absent"), code=1)["valid"] is False


def test_diff_ends_with_one_when_policies_differ_and_says_how(stricter: Path) -> None:
    told = run("policy", "diff", POLICY_PATH, stricter, code=1)
    assert told.startswith("stricter window EX-W1: none → FR, 2027-04-05")
    (only,) = parsed("policy", "diff", stricter, POLICY_PATH, code=1)["differences"]
    assert (only["place"], only["effect"]) == ("window EX-W1", "milder")


def test_diff_ends_with_zero_for_the_same_meaning(tmp_path: Path) -> None:
    commented = tmp_path / "commented.toml"
    commented.write_bytes(CONTENT + b"# a comment\n")
    assert "another file" in run("policy", "diff", POLICY_PATH, commented)
    assert "the same file" in run("policy", "diff", POLICY_PATH, POLICY_PATH)


def test_a_policy_that_cannot_be_read_ends_every_command(broken: Path, tmp_path: Path) -> None:
    data = ("--data-dir", tmp_path)
    assert "not valid" in run("policy", "diff", POLICY_PATH, broken, code=6)
    assert "error" in parsed("policy", "explain", "a ball", "--policy", broken, *data, code=6)


@pytest.mark.parametrize(
    "options",
    [("--region", "UK"), ("--at", "soon"), ("--at", "2027-04-20T12:00:00")],
)
def test_explain_refuses_circumstances_that_it_cannot_read(
    options: tuple[str, str], tmp_path: Path
) -> None:
    run("policy", "explain", "a ball", *options, "--data-dir", tmp_path, code=6)


def test_explain_shows_each_score_beside_its_thresholds(
    database: Database, tmp_path: Path, stricter: Path
) -> None:
    told = run(
        "policy", "explain", "a red ball rolls over a meadow", "--policy", stricter,
        "--audience", "studio", "--region", "FR", "--at", "2027-04-20",
        "--data-dir", tmp_path,
    )  # fmt: skip
    assert told.startswith("allow  for studio, FR, 2027-04-20T00:00:00+00:00\n")
    (line,) = [each for each in told.splitlines() if "political_election" in each]
    assert line.split()[2:] == ["0.300", "0.300", "allow", "in", "EX-W1"]
    assert rows(database) == []


def keep(database: Database, *verdicts: tuple[str, Verdict]) -> None:
    with database.write() as session:
        for n, (subject, verdict) in enumerate(verdicts):
            session.add(
                verdict_row(subject, f"event-{n}", verdict, NOON + dt.timedelta(days=n))
            )


def judged(scores: dict[Category, float], asked: Circumstances = STRICTEST) -> Verdict:
    return POLICY.judge(scores, stage=Stage.PROMPT, judges=JUDGES, circumstances=asked)


@on_sqlite
def test_replay_says_what_another_policy_would_change_and_only_reads(
    database: Database, tmp_path: Path, stricter: Path
) -> None:
    clip = [FrameScores(index=0, seconds=0.0, scores={Category.SEXUAL_EXPLICIT: 0.0})]
    keep(
        database,
        ("video_1", judged(CLEAN)),
        ("video_2", judged(ODD)),
        ("video_3", judged({})),
        ("video_4", POLICY.judge_frames(clip, judges=JUDGES)),
    )
    before = rows(database)
    document = parsed("policy", "replay", "--policy", stricter, "--data-dir", tmp_path)
    assert (document["compared"], document["changed"]) == (3, 1)
    assert document["moves"] == {
        "allow → allow": 1,
        "allow → block": 1,
        "review → review": 1,
    }
    assert document["by_category"] == {"political_election": {"allow → block": 1}}
    assert document["by_audience"] == {"public": {"allow → block": 1}}
    assert [change["subject"] for change in document["changes"]] == ["video_2"]
    assert [each["subject"] for each in document["incomparable"]] == ["video_3"]
    told = run("policy", "replay", "--policy", stricter, "--data-dir", tmp_path)
    assert "3 verdicts compared, 1 would change, 1 not comparable" in told
    assert "video_2" in told
    assert rows(database) == before


@on_sqlite
def test_replay_looks_back_only_as_far_as_asked(
    database: Database, tmp_path: Path, stricter: Path
) -> None:
    keep(database, ("video_1", judged(ODD)), ("video_2", judged(ODD)))
    data = ("--policy", stricter, "--data-dir", tmp_path)
    for since, changed in (("2027-04-20", 2), ("2027-04-21", 1), ("2027-04-22", 0)):
        assert parsed("policy", "replay", "--since", since, *data)["changed"] == changed
    run("policy", "replay", "--since", "yesterday", *data, code=6)


@on_sqlite
def test_replay_can_suppose_another_time_and_place(
    database: Database, tmp_path: Path, stricter: Path
) -> None:
    keep(database, ("video_1", judged(ODD)))
    data = ("--policy", stricter, "--data-dir", tmp_path)
    for suppose, changed in (
        (("--at", "2027-04-20"), 1),
        (("--at", "2026-11-23"), 0),
        (("--at", "2027-04-20", "--region", "DE"), 0),
        (("--at", "2027-04-20", "--region", "FR"), 1),
    ):
        assert parsed("policy", "replay", *suppose, *data)["changed"] == changed
    run("policy", "replay", "--region", "UK", *data, code=6)


@on_sqlite
def test_replay_under_the_policy_in_force_changes_nothing(
    database: Database, tmp_path: Path
) -> None:
    broken: dict[Any, Any] = {**CLEAN, Category.HATE: float("nan")}
    keep(database, ("video_1", judged(ODD)), ("video_2", judged(broken)))
    document = parsed("policy", "replay", "--data-dir", tmp_path)
    assert (document["compared"], document["changed"]) == (2, 0)


@on_sqlite
def test_replay_says_when_the_policy_of_the_time_is_not_at_hand(
    database: Database, tmp_path: Path, stricter: Path
) -> None:
    by_stricter = Policy.load(stricter).judge(CLEAN, stage=Stage.PROMPT, judges=JUDGES)
    minors = POLICY.rules[Category.SEXUAL_MINORS]
    own = Reason(
        category=minors.category,
        stage=Stage.PROMPT,
        rule=minors.rule,
        text=minors.text,
        action=Action.REVIEW,
    )
    keep(database, ("video_1", replace(by_stricter, action=Action.REVIEW, reasons=(own,))))
    document = parsed("policy", "replay", "--data-dir", tmp_path)
    assert (document["changed"], document["unknown_policies"]) == (1, [by_stricter.policy])
    assert "not at hand" in run("policy", "replay", "--data-dir", tmp_path)
    document = parsed("policy", "replay", "--earlier", stricter, "--data-dir", tmp_path)
    assert (document["changed"], document["unknown_policies"]) == (0, [])


def test_replay_needs_a_record(tmp_path: Path) -> None:
    run("policy", "replay", "--data-dir", tmp_path, code=7)


def rows(database: Database) -> list[Any]:
    with database.read() as session:
        return list(session.execute(sa.select(VerdictRow.__table__)).all())


@on_sqlite
def test_replay_weighs_who_asked_as_recorded(
    database: Database, tmp_path: Path, stricter: Path
) -> None:
    abroad = Circumstances(audience=Audience.STUDIO, region="DE", at=NOON)
    keep(database, ("video_1", judged(ODD, abroad)))
    document = parsed("policy", "replay", "--policy", stricter, "--data-dir", tmp_path)
    assert (document["compared"], document["changed"]) == (1, 0)


@on_sqlite
def test_a_policy_on_trial_judges_along_and_is_kept_on_record(
    database: Database, tmp_path: Path, stricter: Path
) -> None:
    policy = policy_in_force(Settings(shadow_policy=stricter))
    verdicts = [policy.judge(s, stage=Stage.PROMPT, judges=JUDGES) for s in (CLEAN, ODD, ODD)]
    assert [verdict.action for verdict in verdicts] == [Action.ALLOW] * 3
    assert policy.hash == POLICY.hash
    keep(
        database,
        ("video_0", judged(CLEAN)),
        *((f"video_{len(v.reasons)}", v) for v in verdicts),
    )
    (trial,) = parsed("policy", "shadow", "--data-dir", tmp_path)["trials"]
    assert trial["policy"] == Policy.load(stricter).hash
    assert trial["moves"] == {"allow → allow": 1, "allow → block": 2}
    assert trial["subjects"] == ["video_0"]
    assert "allow → block    2" in run("policy", "shadow", "--data-dir", tmp_path)
    assert parsed("policy", "shadow", "--since", "2027-05-01", "--data-dir", tmp_path) == {
        "trials": []
    }


@pytest.mark.parametrize("name", ["broken.toml", "absent.toml"])
def test_a_trial_that_cannot_be_read_leaves_the_policy_in_force(
    broken: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    policy = policy_in_force(Settings(shadow_policy=broken.with_name(name)))
    assert policy == POLICY
    assert type(policy) is Policy
    assert "shadow.unreadable" in caplog.text


def test_a_verdict_is_kept_with_its_circumstances_and_without_a_shadow_if_there_is_none(
    database: Database,
) -> None:
    asked = Circumstances(audience=Audience.STUDIO, region="FR", at=NOON)
    keep(database, ("video_1", judged(CLEAN, asked)))
    with database.read() as session:
        (row,) = session.scalars(sa.select(VerdictRow)).all()
        nulls = session.scalar(sa.text("SELECT count(*) FROM verdicts WHERE shadow IS NULL"))
    assert (row.shadow, nulls) == (None, 1)
    assert row.circumstances == {
        "audience": "studio",
        "region": "FR",
        "at": "2027-04-20T12:00:00+00:00",
    }
