"""Model cards: strict reading, refused sizes and lengths, weights compared byte by byte."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from generator.cards import ModelCard, read_card
from generator.errors import UnsupportedRequest, WeightsMissing

PROSE = """
name = "tiny"
title = "Tiny"
version = "1"
revision = "abc"
demonstration = true
licence = "Apache-2.0"
licence_url = "https://example.org"
training_data = "None."
commercial_use = "Permitted."
intended_use = "Tests."
limits = "Many."
interpolation = "None."
languages = ["en"]
sizes = ["64x32", "128x64"]
seconds = [2, 4]
fps = 8
[sampling]
width = 64
height = 32
frames = 0
fps = 8
frame_step = 4
steps = 3
guidance = 3.0
dtype = "float32"
[weights]
"net/model.safetensors" = "DIGEST"
"""
BYTES = b"not really weights"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "model.safetensors").write_bytes(BYTES)
    digest = hashlib.sha256(BYTES).hexdigest()
    (tmp_path / "card.toml").write_text(PROSE.replace("DIGEST", digest))
    return tmp_path


def test_weights_that_match_the_card_are_accepted(folder: Path) -> None:
    card = read_card(folder)
    card.verify(folder)
    assert card.weights[0].file == "net/model.safetensors"
    assert card.demonstration is True


def test_one_changed_byte_in_the_weights_is_refused(folder: Path) -> None:
    card = read_card(folder)
    (folder / "net" / "model.safetensors").write_bytes(BYTES[:-1] + b"!")
    with pytest.raises(WeightsMissing, match="not the one its card describes"):
        card.verify(folder)


def test_missing_and_undescribed_weights_are_refused(folder: Path) -> None:
    card = read_card(folder)
    extra = folder / "net" / "more.safetensors"
    extra.write_bytes(b"x")
    with pytest.raises(WeightsMissing, match="does not describe"):
        card.verify(folder)
    extra.unlink()
    (folder / "net" / "model.safetensors").unlink()
    with pytest.raises(WeightsMissing, match="missing a file"):
        card.verify(folder)


def test_a_card_that_names_no_weights_is_refused(folder: Path) -> None:
    text = (folder / "card.toml").read_text().splitlines()
    (folder / "card.toml").write_text("\n".join(text[:-1]))
    (folder / "net" / "model.safetensors").unlink()
    with pytest.raises(WeightsMissing):
        read_card(folder).verify(folder)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name = "tiny"\n', ""),
        ('name = "tiny"', 'name = "tiny"\nsurprise = 1'),
        ("steps = 3", "steps = 3\nsurprise = 1"),
        ('"64x32"', '"64 by 32"'),
        ("[weights]", "[heights]"),
        ("fps = 8", "fps = ["),
    ],
)
def test_a_card_with_a_missing_unknown_or_broken_field_is_refused(
    folder: Path, old: str, new: str
) -> None:
    path = folder / "card.toml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(WeightsMissing, match="card cannot be read"):
        read_card(folder)


def test_a_folder_without_a_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="no card"):
        read_card(tmp_path)


@pytest.fixture
def card(folder: Path) -> ModelCard:
    return read_card(folder)


@pytest.mark.parametrize(("width", "height"), [(32, 64), (64, 64), (0, 0), (640, 360)])
def test_a_size_the_model_does_not_make_is_refused_with_those_it_makes(
    card: ModelCard, width: int, height: int
) -> None:
    with pytest.raises(UnsupportedRequest) as caught:
        card.check(width=width, height=height, seconds=2)
    assert caught.value.param == "size"
    assert "64x32, 128x64" in caught.value.message


@pytest.mark.parametrize("seconds", [0, 1, 3, -2, 100, True])
def test_a_length_the_model_does_not_make_is_refused(card: ModelCard, seconds: int) -> None:
    with pytest.raises(UnsupportedRequest) as caught:
        card.check(width=64, height=32, seconds=seconds)
    assert caught.value.param == "seconds"
    assert "2, 4" in caught.value.message
