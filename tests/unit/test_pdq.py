"""The perceptual hash: the same picture stays near, another is far, nonsense is not judged."""

from __future__ import annotations

import io

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_sample_images

from safety.pdq import (
    HASH_BYTES,
    MATCH_DISTANCE,
    HashIndex,
    distance,
    from_hex,
    picture_hash,
)

Picture = npt.NDArray[np.uint8]


def photo(number: int = 0) -> Picture:
    picture: Picture = load_sample_images().images[number]
    return picture


def recompressed(picture: Picture, width: int, height: int, quality: int) -> Picture:
    data = io.BytesIO()
    Image.fromarray(picture).resize((width, height)).save(data, "JPEG", quality=quality)
    return np.asarray(Image.open(data).convert("RGB"))


def off(one: Picture, other: Picture) -> int:
    return distance(
        bytes(picture_hash(one).symmetries[0]), bytes(picture_hash(other).symmetries[0])
    )


@pytest.mark.parametrize(("width", "height", "quality"), [(320, 214, 60), (640, 427, 10)])
def test_the_same_picture_stays_near_when_compressed_and_scaled(
    width: int, height: int, quality: int
) -> None:
    assert off(photo(), recompressed(photo(), width, height, quality)) <= MATCH_DISTANCE


def test_another_picture_is_far() -> None:
    assert off(photo(0), photo(1)) > 90


def test_a_turned_picture_is_found_by_one_of_its_eight_hashes() -> None:
    listed = picture_hash(photo()).symmetries[:1]
    index = HashIndex(listed)
    for turned in (np.rot90(photo()), photo()[:, ::-1], photo()[::-1], np.rot90(photo(), 3)):
        [match] = index.near(picture_hash(np.ascontiguousarray(turned)).symmetries)
        assert match.distance <= 16


@pytest.mark.parametrize(
    "picture",
    [
        np.full((100, 160, 3), 80, np.uint8),
        np.zeros((4, 900, 3), np.uint8),
        np.repeat(np.linspace(0, 60, 160, dtype=np.uint8)[None, :, None], 3, 2).repeat(90, 0),
    ],
    ids=["flat", "strip", "faint slope"],
)
def test_a_picture_without_structure_tells_nothing(picture: Picture) -> None:
    assert not picture_hash(picture).telling


def test_a_picture_that_mirrors_itself_tells_nothing() -> None:
    half = cv2.resize(photo(1), (160, 320))
    picture = np.concatenate([half, half[:, ::-1]], axis=1)
    found = picture_hash(picture)
    assert found.quality >= 50
    assert found.unsteady > MATCH_DISTANCE
    assert not found.telling
    assert picture_hash(photo()).telling


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((9, 9), np.uint8),
        np.zeros((9, 9, 4), np.uint8),
        np.zeros((9, 9, 3), np.float32),
    ],
)
def test_what_is_no_picture_is_refused(picture: Picture) -> None:
    with pytest.raises(ValueError):
        picture_hash(picture)


@pytest.mark.parametrize(
    "text", ["", "ab" * 31, "ab" * 33, "zz" * 32, "٣" * 64, "ab" * 32 + "\n"]
)
def test_what_is_no_hash_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError) as refusal:
        from_hex(text)
    assert not text or text not in str(refusal.value)


@given(st.binary(min_size=32, max_size=32))
def test_a_hash_reads_back_what_it_wrote(value: bytes) -> None:
    assert from_hex(value.hex().upper()) == value
    assert distance(value, value) == 0
    assert distance(value, bytes(255 - one for one in value)) == 256


def flipped(
    value: npt.NDArray[np.uint8], places: npt.NDArray[np.intp]
) -> npt.NDArray[np.uint8]:
    bits = np.unpackbits(value)
    bits[places] ^= 1
    return np.packbits(bits)


@pytest.mark.parametrize("size", [50, 40_000])
def test_the_index_finds_exactly_what_a_full_search_finds(size: int) -> None:
    draw = np.random.default_rng(size)
    hashes = draw.integers(0, 256, (size, HASH_BYTES), dtype=np.uint8)
    for row in range(0, size, size // 40):
        hashes[row] = flipped(hashes[0], draw.choice(256, row % 64, replace=False))
    index = HashIndex(hashes)
    query = flipped(hashes[0], draw.choice(256, 9, replace=False))
    distances = np.unpackbits(hashes ^ query, axis=1).sum(axis=1)
    expected = {int(row): int(distances[row]) for row in np.flatnonzero(distances <= 31)}
    found = index.near(query[None])
    assert {match.row: match.distance for match in found} == expected
    assert [match.distance for match in found] == sorted(match.distance for match in found)
    assert len(expected) > 5


@pytest.mark.parametrize("size", [1, 40_000])
def test_the_border_of_a_match_is_31_bits(size: int) -> None:
    draw = np.random.default_rng(3)
    hashes = draw.integers(0, 256, (size, HASH_BYTES), dtype=np.uint8)
    index = HashIndex(hashes)
    # Two bits in each word of 16 but the last, which has one, anywhere in it.
    apart = [np.array([*range(0, 240, 8), last]) for last in range(240, 256)]
    for places in (*apart, np.arange(31), draw.choice(240, 31, replace=False)):
        [match] = index.near(flipped(hashes[-1], places)[None])
        assert (match.row, match.distance) == (size - 1, MATCH_DISTANCE)
        another = next(place for place in range(256) if place not in places)
        assert index.near(flipped(hashes[-1], np.append(places, another))[None]) == ()


def test_many_equal_hashes_are_all_found() -> None:
    hashes = np.zeros((40_000, HASH_BYTES), np.uint8)
    found = HashIndex(hashes).near(np.zeros((1, HASH_BYTES), np.uint8))
    assert len(found) == len(hashes)


def test_an_empty_index_finds_nothing() -> None:
    index = HashIndex(np.zeros((0, HASH_BYTES), np.uint8))
    assert index.near(picture_hash(photo()).symmetries) == ()
