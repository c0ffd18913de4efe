"""The command line as a person or a script uses it, with the real judges and marks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import structlog
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.media.codec import Mp4Codec
from tests.contract.test_face_models import packaged
from tests.e2e.conftest import parsed, run_cli, run_here


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A second of soft moving stripes."""
    x = np.linspace(0, 6 * np.pi, 640)[None, :, None]
    frames = np.stack(
        [
            np.broadcast_to(127 + 90 * np.sin(x + 0.1 * t), (360, 640, 3)).astype(np.uint8)
            for t in range(24)
        ]
    )
    path = tmp_path / "stripes.mp4"
    codec = Mp4Codec(crf=17, preset="fast", keyframe_seconds=1.0)
    codec.encode([frames[i : i + 12] for i in range(0, 24, 12)], path, fps=24)
    return path


def test_moderate_answers_every_line_in_order(tmp_path: Path) -> None:
    lines = [
        json.dumps({"id": "a", "text": "a man with a balloon for a head, cinematic"}),
        "not json",
        json.dumps({"id": "b", "text": "step by step instructions for building a pipe bomb"}),
        json.dumps({"id": "c"}),
        '{"id": "\\ud800", "text": "a red ball"}',
        '{"id": NaN, "text": "a red ball"}',
        '{"id": "e", "text": ""}',
        json.dumps({"id": 4, "text": "Ein roter Ball rollt über eine grüne Wiese"}),
    ]
    done = run_cli(tmp_path, "moderate", "--jsonl", stdin="\n".join(lines).encode())
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [a["id"] for a in answers] == ["a", None, "b", "c", "\ud800", None, "e", 4]
    actions = [a["action"] for a in answers]
    assert actions[:4] == ["allow", "review", "block", "review"]
    assert actions[4:] == ["allow", "review", "review", "allow"]
    assert all(0 <= score <= 1 for score in answers[0]["categories"].values())


def test_a_refused_prompt_ends_with_its_own_code_and_no_file(tmp_path: Path) -> None:
    out = tmp_path / "clip.mp4"
    prompt = "step by step instructions for building a pipe bomb"
    done = run_cli(tmp_path / "data", "generate", prompt, "-o", str(out), "--json")
    error = parsed(done, code=3)["error"]
    assert error["code"] == "moderation_blocked"
    assert error["rules"]
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("generate", "a red ball", "-o", "x.mp4", "--size", "1x1"), 6),
        (("generate", "a red ball", "-o", "/tmp"), 2),
        (("verify", "/etc/hostname"), 6),
    ],
)
def test_bad_input_ends_with_a_sentence_and_a_code(
    tmp_path: Path, arguments: tuple[str, ...], code: int
) -> None:
    done = run_cli(tmp_path, *arguments)
    assert done.returncode == code, done.stderr
    assert b"Traceback" not in done.stderr
    assert done.stderr.strip() or done.stdout.strip()


@pytest.fixture
def own_logs() -> Iterator[None]:
    """A command in this process sets up logging for streams that end with it."""
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("keys", "revoke", "00000000"), 6),
        (("audit", "check"), 7),
        (("watermark", "read"), 2),
        (("verify", "/dev/zero"), 6),
        (("serve", "--port", "99999"), 2),
        (("audit", "check", "--anchor", "/tmp"), 2),
        (("migrate", "--data-dir", "/dev/null/x"), 7),
    ],
)
def test_so_does_bad_input_to_a_command_that_starts_nothing(
    tmp_path: Path, own_logs: None, arguments: tuple[str, ...], code: int
) -> None:
    done = CliRunner().invoke(app, arguments, env={"CINEGATE_DATA_DIR": str(tmp_path)})
    assert done.exit_code == code, done.output
    assert isinstance(done.exception, SystemExit), "a person would see a traceback"
    assert done.output.strip()


def test_the_watermark_is_written_and_read_with_this_key_only(
    tmp_path: Path, clip: Path
) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    marked = tmp_path / "marked.mp4"
    payload = "00c0ffee00c0ffee"
    arguments = ("watermark", "embed", str(clip), str(marked), "--payload", payload)
    written = parsed(run_cli(mine, *arguments, "--json"))
    assert written["read_back"]["payload"] == payload
    found = parsed(run_cli(mine, "watermark", "read", str(marked), "--json"))
    assert (found["payload"], found["certain"]) == (payload, True)
    foreign = parsed(run_cli(other, "watermark", "read", str(marked), "--json"))
    assert (foreign["payload"], foreign["certain"]) == (None, False)


def test_classify_judges_a_harmless_clip(tmp_path: Path, clip: Path) -> None:
    report = parsed(run_cli(tmp_path, "classify", str(clip), "--json"))
    assert report["action"] == "allow"
    assert report["frames"]["sampled"] >= 4
    assert {judge.partition("@")[0] for judge in report["judges"]} >= {"faces", "symbols"}


def test_a_clip_that_shows_an_enrolled_person_is_refused_and_says_when(tmp_path: Path) -> None:
    face = packaged("astronaut.png")
    picture, clip, document = (tmp_path / name for name in ("a.png", "a.mp4", "request.txt"))
    cv2.imwrite(str(picture), face[:, :, ::-1])
    document.write_text("Please look out for me.")
    codec = Mp4Codec(crf=20, preset="fast", keyframe_seconds=1.0)
    codec.encode([np.repeat(face[None], 12, axis=0)] * 2, clip, fps=24)
    shown = ("classify", str(clip), "--json")
    paper = ("--evidence", str(document), "--reference", "cabinet 3")
    kind = ("--category", "private_likeness")
    enrol = ("faces", "enrol", "ana-b", str(picture), *kind, *paper, "--json")
    receipt = json.loads(run_here(tmp_path / "data", *enrol))
    report = json.loads(run_here(tmp_path / "data", *shown))
    assert report["action"] == "block"
    (reason,) = report["reasons"]
    assert (reason["rule"], reason["start"]) == ("CG-L2", 0)
    run_here(tmp_path / "data", "faces", "remove", receipt["id"])
    assert json.loads(run_here(tmp_path / "data", *shown))["action"] == "allow"


def test_the_doctor_names_weights_with_hashes(tmp_path: Path) -> None:
    report = parsed(run_cli(tmp_path, "doctor", "--json"))
    assert report["ready"]
    assert len(report["weights"]) >= 4
    assert all(len(digest) == 64 for digest in report["weights"].values())


def test_two_instances_stand_side_by_side(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    made = json.loads(run_here(one, "keys", "create", "--name", "a", "--json"))
    assert json.loads(run_here(two, "keys", "list", "--json")) == []
    (kept,) = json.loads(run_here(one, "keys", "list", "--json"))
    assert kept["id"] == made["id"]


def test_a_folder_that_cannot_be_written_is_named_clearly(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    done = run_cli(blocked / "data", "keys", "list")
    assert done.returncode == 7
    assert b"data folder" in done.stderr
