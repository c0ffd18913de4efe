"""The payload, its frozen layout and the code that protects it."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watermark import code
from watermark.payload import VERSION, Payload, PayloadError, crc24, from_bits, to_bits

ids = st.integers(min_value=0, max_value=2**64 - 1)


def test_the_layout_is_frozen() -> None:
    bits = to_bits(Payload(clip_id=0x0123456789ABCDEF))
    assert np.packbits(bits).tobytes().hex() == "0187cbfbfe89022ceaa7ab77"
    assert VERSION == 1


def test_the_code_words_are_frozen() -> None:
    word = code.encode(to_bits(Payload(clip_id=0x0123456789ABCDEF)))
    assert word.shape == (660,)
    digest = hashlib.sha256(np.packbits(word).tobytes()).hexdigest()
    assert digest == "e6df96a494fec728348c21ba6b912e81aed5e3be83f2bbac04cb41779adbd9ed"


def test_the_checksum_is_the_crc_24_of_openpgp() -> None:
    assert crc24(b"123456789") == 0x21CF02  # the check value of the CRC catalogue


@given(ids)
def test_hexadecimal_and_bits_give_the_payload_back(clip_id: int) -> None:
    payload = Payload(clip_id=clip_id)
    assert Payload.from_hex(payload.hex) == payload
    assert from_bits(to_bits(payload)) == payload


@pytest.mark.parametrize(
    "text", ["", "0123", "0123456789ABCDEF", " 123456789abcdef", "0x23456789abcdef", "１" * 16]
)
def test_text_that_is_no_clip_id_is_refused(text: str) -> None:
    with pytest.raises(PayloadError):
        Payload.from_hex(text)


@pytest.mark.parametrize("clip_id", [-1, 2**64, True, 1.0])
def test_a_number_that_is_no_clip_id_is_refused(clip_id: object) -> None:
    with pytest.raises(PayloadError):
        Payload(clip_id=clip_id)  # type: ignore[arg-type]


def test_random_ids_differ() -> None:
    assert len({Payload.random() for _ in range(50)}) == 50


@given(ids, st.integers(0, 95))
def test_any_wrong_bit_is_noticed(clip_id: int, position: int) -> None:
    bits = to_bits(Payload(clip_id=clip_id))
    bits[position] ^= 1
    assert from_bits(bits) is None


@settings(max_examples=10, deadline=None)
@given(ids, st.integers(0, 2**32 - 1))
def test_a_payload_outlives_noise_stronger_than_itself(clip_id: int, seed: int) -> None:
    payload = Payload(clip_id=clip_id)
    clean = 1.0 - 2.0 * code.encode(to_bits(payload))
    noise = np.random.default_rng(seed).normal(0, 1.3, clean.size)
    assert from_bits(code.decode(clean + noise)) == payload


def test_noise_alone_is_no_payload() -> None:
    rng = np.random.default_rng(3)
    assert all(from_bits(code.decode(rng.normal(0, 1, 660))) is None for _ in range(20))


def test_neighbouring_ids_have_words_far_apart() -> None:
    bits = np.stack([to_bits(Payload(clip_id=one)) for one in (*range(150), 2**63, 2**64 - 1)])
    words = 1.0 - 2.0 * code.encode(bits).astype(np.float64)
    alike = words @ words.T / code.CODE_BITS - np.eye(len(words))
    assert alike.max() < 0.3
