"""The commands about the log's keys: what an operator types and sees."""

from __future__ import annotations

from pathlib import Path

from tests.unit.test_cli_records import folder, parsed, run

__all__ = ["folder"]  # a fixture, used by itself


def test_a_key_is_exchanged_by_two_commands(folder: Path) -> None:
    run("audit", "rotate-key", "--finish", code=6)
    added = parsed("audit", "rotate-key", "--by", "ada")
    old, new = added["keys"][1], added["added"]
    assert added["keys"] == [new, old]
    run("audit", "rotate-key", code=6)
    assert "audit check: ok" in run("audit", "check")
    # Nothing happened since that both could have signed.
    run("audit", "rotate-key", "--finish", code=6)
    run("keys", "create")
    told = run("audit", "rotate-key", "--finish")
    assert "is retired. The log is signed by:" in told
    assert new in told.replace("\n", "")
    run("audit", "export", folder / "out")
    for key in (old, new):
        assert parsed("audit", "check", "--folder", folder / "out")["ok"], key
    kinds = [row["kind"] for row in parsed("audit", "show", "log")]
    assert kinds == ["log.key_retired", "log.key_added"]
