"""The commands about the log's keys: what an operator types and sees."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.provenance.certificates import make_root, make_stamping
from gateway.provenance.timestamp import LocalTimestampAuthority
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


@pytest.fixture
def authority(folder: Path) -> Iterator[None]:
    """A time-stamp authority that the settings name; it stands for one outside."""
    now = datetime.now(UTC)
    root = make_root(organisation="Outside", role="root", now=now)
    stamping = make_stamping(organisation="Outside", root=root, now=now)
    (folder / "roots.pem").write_bytes(root.certificate.public_bytes(Encoding.PEM))
    data = Path(os.environ["CINEGATE_DATA_DIR"])
    data.mkdir()
    with LocalTimestampAuthority(stamping, clock=lambda: datetime.now(UTC)) as url:
        (data / "gateway.toml").write_text(
            f'[audit]\nanchor_url = "{url}"\nanchor_roots = "{folder / "roots.pem"}"\n'
        )
        yield


@pytest.mark.usefixtures("authority")
def test_the_newest_checkpoint_is_stamped_and_written_out(folder: Path) -> None:
    run("audit", "anchor", code=6)
    run("keys", "create")
    made = parsed("audit", "anchor", "--folder", folder / "kept")
    note, reply = folder / "kept" / "1", folder / "kept" / "1.tsr"
    assert (made["size"], note.exists(), reply.exists()) == (1, True, True)
    checked = parsed("audit", "check", "--anchor", note, "--within", "48")
    assert (checked["ok"], checked["stamps"], checked["anchored"]) == (True, 1, True)


def test_without_an_authority_nothing_is_stamped(folder: Path) -> None:
    run("keys", "create")
    assert "see [audit] in the settings" in run("audit", "anchor", code=7)
    run("audit", "check", "--within", "48", code=7)
    for hours in ("nan", "inf", "0", "-5"):
        run("audit", "check", "--within", hours, code=2)
    assert not (folder / "kept").exists()
