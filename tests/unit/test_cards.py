"""What a weights card promises: nothing is opened whose digest was not compared."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from safety.cards import WeightsCard, WeightsMissing, verified_bytes, verified_path

CONTENT = b"weights"
CARD = f"""
name = "heads"
version = "1"
summary = "A test."
licence = "Apache-2.0"
limits = ["It judges nothing."]
[files]
"a.safetensors" = "{hashlib.sha256(CONTENT).hexdigest()}"
[[training]]
name = "own"
licence = "Apache-2.0"
source = "written for the test"
rows = 3
[measured]
recall = 0.5
"""


def folder(tmp_path: Path, card: str = CARD, content: bytes = CONTENT) -> Path:
    (tmp_path / "card.toml").write_text(card)
    (tmp_path / "a.safetensors").write_bytes(content)
    return tmp_path


def test_weights_that_match_their_card_are_opened(tmp_path: Path) -> None:
    where = folder(tmp_path)
    assert verified_bytes(where, "a.safetensors") == CONTENT
    assert verified_path(where, "a.safetensors").read_bytes() == CONTENT
    card = WeightsCard.load(where)
    assert card.label == "heads@1"
    assert card.training[0].rows == 3


@pytest.mark.parametrize("opening", [verified_bytes, verified_path])
def test_weights_that_differ_from_their_card_are_not_opened(tmp_path: Path, opening) -> None:  # type: ignore[no-untyped-def]
    where = folder(tmp_path, content=CONTENT + b"!")
    with pytest.raises(WeightsMissing):
        opening(where, "a.safetensors")


@pytest.mark.parametrize("opening", [verified_bytes, verified_path])
def test_a_file_that_is_absent_or_not_on_the_card_is_not_opened(
    tmp_path: Path, opening
) -> None:  # type: ignore[no-untyped-def]
    where = folder(tmp_path)
    (where / "b.safetensors").write_bytes(CONTENT)
    with pytest.raises(WeightsMissing):
        opening(where, "b.safetensors")
    (where / "a.safetensors").unlink()
    with pytest.raises(WeightsMissing):
        opening(where, "a.safetensors")


@pytest.mark.parametrize(
    "card",
    [
        "",
        "[",
        CARD.replace('"a.safetensors"', '"../a.safetensors"'),
        CARD.replace("[files]", "surprise = 1\n[files]"),
        CARD.replace("limits", "limit"),
        CARD.replace('limits = ["It judges nothing."]', "limits = []"),
        CARD.replace(hashlib.sha256(CONTENT).hexdigest(), "abc"),
    ],
)
def test_a_card_that_is_not_valid_is_refused(tmp_path: Path, card: str) -> None:
    with pytest.raises(WeightsMissing):
        WeightsCard.load(folder(tmp_path, card=card))


def test_a_folder_without_a_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing):
        WeightsCard.load(tmp_path)
