"""The key and what is derived from it."""

from __future__ import annotations

import numpy as np
import pytest

from watermark.keys import KeyRefused, WatermarkKey
from watermark.payload import Payload
from watermark.tile import derive_pattern, synthesise

KEY = WatermarkKey(id="2026-a", secret=b"0123456789abcdef0123456789abcdef")
OTHER = WatermarkKey(id="2026-b", secret=b"0123456789abcdef0123456789abcdeg")


def test_a_key_never_shows_its_secret() -> None:
    assert "0123456789abcdef" not in f"{KEY!r} {KEY}"


@pytest.mark.parametrize(("name", "secret"), [("", b"x" * 32), ("a", b""), ("a", b"x" * 15)])
def test_a_key_without_name_or_with_a_short_secret_is_refused(name: str, secret: bytes) -> None:
    with pytest.raises(KeyRefused):
        WatermarkKey(id=name, secret=secret)


def test_what_is_derived_is_frozen() -> None:
    assert [f"{value:016x}" for value in KEY.derive("pilot phases", 3)] == [
        "9f2388596eb55498",
        "2cb2b644849cc084",
        "a41dd6da236dee3c",
    ]


def test_labels_and_secrets_give_unrelated_streams() -> None:
    streams = [
        key.signs(label, 4000)
        for key in (KEY, OTHER)
        for label in ("pilot positions", "pilot phases", "data signs", "data order")
    ]
    related = np.corrcoef(streams) - np.eye(len(streams))
    assert np.abs(related).max() < 0.08  # five standard deviations


def test_the_id_of_a_key_does_not_enter_its_secret_streams() -> None:
    renamed = WatermarkKey(id="other name", secret=KEY.secret)
    assert np.array_equal(renamed.derive("x", 9), KEY.derive("x", 9))


def test_a_longer_stream_begins_with_the_shorter_one() -> None:
    assert np.array_equal(KEY.derive("x", 9), KEY.derive("x", 100)[:9])


def test_an_order_holds_every_index_once() -> None:
    assert sorted(KEY.order("x", 500)) == list(range(500))


def test_tiles_of_two_keys_have_nothing_in_common() -> None:
    payload = Payload(clip_id=77)
    one, two = (synthesise(derive_pattern(key), payload) for key in (KEY, OTHER))
    assert one.shape == (128, 128)
    assert abs(float(one.mean())) < 1e-3
    assert float(one.std()) == pytest.approx(1.0, abs=1e-3)
    spectra = (np.fft.fft2(one), np.fft.fft2(two))
    shifts = np.fft.ifft2(spectra[0] * np.conj(spectra[1])).real / one.size
    assert np.abs(shifts).max() < 0.4


def test_payloads_change_the_tile_but_not_its_pilots() -> None:
    pattern = derive_pattern(KEY)
    tiles = [np.fft.fft2(synthesise(pattern, Payload(clip_id=i))) for i in (1, 2**63)]
    pilots = [tile[pattern.pilot_rows - 20, pattern.pilot_columns] for tile in tiles]
    data = [tile[pattern.data_rows - 20, pattern.data_columns] for tile in tiles]
    turned = [np.abs(np.angle(one / two)).mean() for one, two in (pilots, data)]
    assert turned[0] < 0.1
    assert turned[1] > 0.5
