"""PDQ is the published one: the hashes of the reference implementation, bit for bit.

The expected values were computed by ``pdqhash`` 0.2.8, which wraps Facebook's C++.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.datasets import load_sample_images

from safety.pdq import distance, from_hex, picture_hash

DRAWN = {
    (5, 5): "6b5ac3f094a56c5bc4f1cb72485b348d3b0e93a46b5ac2f094a56c5bc4f1cb72",
    (64, 64): "5e02db56ab5e2a56368a76da25566ad794922c965b3ae7568cb4306cc78d3c38",
    (127, 300): "5a02d356ab5e5e42329a76ca2757ced694962c965b32e6568cb5706cc78d3c38",
    (300, 129): "b4aa5555ad1769554a55d155a2d552a5e5b5c929b2e5c6ea15da07b21f46f00e",
    (720, 1280): "b52a5555ad1569554a179355a2d552a1e5b5c929b3e1c6ea15da07b21f66f80e",
}
TURNED = (
    "5a02d356ab5e5e42329a76ca2757ced694962c965b32e6568cb5706cc78d3c38",
    "619a2ac92e55235af169e824ff329ddd0dca88eb002d94062c079c21fff0fff5",
    "0f5771fcfe03f4e867cfdc607002647cc1c3863c0e674cfcd9e09ac692d89692",
    "34cf80637b0089f0e43c428eaa673777589f224155783eac7972368beaa5575f",
    "5a022cabab5ea1bd329a8935275731299496d3695b3a19a98cb58f93c78dc3c7",
    "0f578e03fe0b0b1767cf239f72039b83c1c379c30e67b303d9e0253992d8696d",
    "619ad5362e55dca5b16917dbff3262220dca7714002d6bf92c0763defff0020a",
    "34cf7f987b00760fa43cbd71a867c888589fddbe5578c1535952c974aaa5a8a0",
)
PHOTOS = {
    "china.jpg": "bf18cef3407e8678e6833b1937d14066988e5cd2046eac5f783103f157abf50e",
    "flower.jpg": "673966dcb772a66499a69a666196a9476599a21b9649a659596624b3e58ea693",
}
NOISE = {
    (1, 64, 64): "017fac1c3361e6b94c827f6357ff791a56d95bda678a223b38dc380154a1aa0d",
    (2, 180, 320): "92cf2f2828e788b9643d4e048ad2743e90ffd239d191ddb48795a98c34fce45d",
    (3, 333, 90): "1fb9d3c9184840c5939c871bbb48c6df72beeb8e72d96263e99c0b2e206bac16",
    (4, 360, 640): "25948ef81934106e4146cb1091ff1178209feffe8170ae7819f5755f49e79de4",
    (5, 17, 400): "7f0f36cf913ba45266a681b7406776916e62b32cb1d8ac71a22afe8ebd0c26d0",
}
DECODER_BITS = 4  # another JPEG decoder may round pixels otherwise


def drawn(height: int, width: int) -> npt.NDArray[np.uint8]:
    """A picture from whole numbers only, the same everywhere."""
    seed = height % 7
    y, x = np.mgrid[0:height, 0:width].astype(np.int64)
    u, v = y * 256 // height, x * 256 // width
    red = (u * u // (3 + seed) + v * 5 * seed) % 256
    green = (u * v // 97 + seed * 31 + v) % 256
    blue = ((u - 128) ** 2 + (v - 100 - seed) ** 2) // 64 % 256
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("shape", DRAWN, ids=str)
def test_a_drawn_picture_has_the_hash_of_the_reference(shape: tuple[int, int]) -> None:
    found = picture_hash(drawn(*shape))
    assert (found.hex, found.quality) == (DRAWN[shape], 100)


def test_turned_and_mirrored_pictures_have_the_hashes_of_the_reference() -> None:
    found = picture_hash(drawn(127, 300))
    assert tuple(bytes(one).hex() for one in found.symmetries) == TURNED


def test_photographs_have_the_hashes_of_the_reference() -> None:
    loaded = load_sample_images()
    for path, picture in zip(loaded.filenames, loaded.images, strict=True):
        expected = from_hex(PHOTOS[path.rsplit("/", 1)[-1]])
        found = picture_hash(picture)
        assert found.quality == 100
        assert distance(bytes(found.symmetries[0]), expected) <= DECODER_BITS


@pytest.mark.parametrize(("seed", "height", "width"), NOISE)
def test_noise_has_the_hash_of_the_reference(seed: int, height: int, width: int) -> None:
    draw = np.random.default_rng(seed)
    found = picture_hash(draw.integers(0, 256, (height, width, 3), dtype=np.uint8))
    assert (found.hex, found.quality) == (NOISE[seed, height, width], 100)
