"""Files made to hurt: random damage, box bombs, and texts that are not texts."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import c2pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import StageUnavailable
from gateway.provenance import read_child
from gateway.provenance.boxes import MAX_BOXES, too_many_boxes
from gateway.provenance.manifest import build_manifest
from gateway.provenance.reading import MAX_ITEMS, MAX_TEXT_CHARS
from gateway.provenance.trust import context_settings
from tests.contract.provenance_kit import (
    C2PA_UUID,
    CLIP_ID,
    Workshop,
    boxes,
    draw_clip,
    facts,
    workshop,
)

pytestmark = pytest.mark.socket
QUICK = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with workshop(tmp_path_factory.mktemp("shop")) as opened:
        yield opened


@pytest.fixture(scope="module")
def signed(shop: Workshop) -> bytes:
    return shop.signed("first").read_bytes()


def _pictures(content: bytes) -> tuple[bytes, bytes]:
    found = boxes(content)
    return content[slice(*found["moov"])], content[slice(*found["mdat"])]


@QUICK
@given(flips=st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 7)), max_size=3))
def test_what_is_ours_after_damage_has_our_pictures_and_our_clip_id(
    shop: Workshop, signed: bytes, flips: list[tuple[int, int]]
) -> None:
    damaged = bytearray(signed)
    for at, bit in flips:
        damaged[at % len(damaged)] ^= 1 << bit
    found = shop.reader.read(io.BytesIO(bytes(damaged)))
    if found.ours:
        assert _pictures(bytes(damaged)) == _pictures(signed)
        mark, look = (value for _, value in found.soft_bindings)
        assert mark == f"1*{CLIP_ID}"
        assert look == shop.reader.read(io.BytesIO(signed)).soft_bindings[1][1]
    if bytes(damaged) == signed:
        assert found.ours


@QUICK
@given(length=st.integers(0, 2**20))
def test_a_file_that_was_cut_is_never_ours(shop: Workshop, signed: bytes, length: int) -> None:
    assert not shop.reader.read(io.BytesIO(signed[: length % len(signed)])).ours


@QUICK
@given(noise=st.binary(max_size=300), mime=st.sampled_from(["video/mp4", "image/jpeg", "x"]))
def test_noise_is_never_trusted(shop: Workshop, noise: bytes, mime: str) -> None:
    found = shop.reader.read(io.BytesIO(noise), mime=mime)
    assert found.state in {"absent", "unreadable"}


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def _nested(depth: int) -> bytes:
    """Boxes in boxes, each around the next."""
    total = 8 * depth
    return b"".join(struct.pack(">I4s", total - 8 * level, b"moov") for level in range(depth))


BOMBS = {
    "a thousand boxes deep": _nested(1_000),
    "two hundred thousand boxes deep": _nested(200_000),
    "a manifest of four gigabytes": struct.pack(">I4s", 0xFFFFFFFF, b"uuid") + C2PA_UUID,
    "a box of sixteen exabytes": struct.pack(">I4sQ", 1, b"uuid", 2**64 - 1) + C2PA_UUID,
    "a box that ends before it begins": struct.pack(">I4s", 3, b"moov"),
    "a hundred thousand empty boxes": _box(b"free", b"") * 100_000,
    "a hundred thousand nested boxes": _box(b"moov", _box(b"trak", b"") * 100_000),
    "an empty manifest": _box(b"uuid", C2PA_UUID + b"\0\0\0\0manifest\0" + b"\0" * 8),
}


@pytest.mark.parametrize("case", BOMBS)
def test_a_box_bomb_ends_in_no_answer_or_in_no_credentials(
    shop: Workshop, tmp_path: Path, case: str
) -> None:
    claims, stamps = tmp_path / "anchors.pem", tmp_path / "tsa.pem"
    claims.write_text(shop.pki.anchors_pem)
    stamps.write_text(shop.pki.tsa_anchors_pem)
    bomb = tmp_path / "bomb.mp4"
    bomb.write_bytes(_box(b"ftyp", b"isom\0\0\2\0isomiso2avc1mp41") + BOMBS[case])
    line = read_child.arguments(bomb, anchors=claims, tsa_anchors=stamps)
    done = subprocess.run([sys.executable, *line], capture_output=True, check=False, timeout=30)
    if done.returncode != 0:
        with pytest.raises(StageUnavailable):
            read_child.parse_answer(done.stdout)
        return
    found = read_child.parse_answer(done.stdout)
    assert found.state in {"absent", "unreadable"}
    assert not found.ours


def test_boxes_are_counted_where_they_hide_and_real_clips_have_few(signed: bytes) -> None:
    deep = _box(b"moov", _box(b"udta", _box(b"meta", b"\0" * 4 + _box(b"free", b"") * 50)))
    large = struct.pack(">I4sQ", 1, b"free", 24) + b"\0" * 8
    assert too_many_boxes(io.BytesIO(deep), most=52)
    assert not too_many_boxes(io.BytesIO(deep), most=53)
    assert too_many_boxes(io.BytesIO(large * 9), most=8)
    assert not too_many_boxes(io.BytesIO(large * 8), most=8)
    assert not too_many_boxes(io.BytesIO(signed), most=100)


def test_a_file_of_too_many_boxes_is_not_parsed(shop: Workshop) -> None:
    empty = _box(b"free", b"")
    crowded = shop.reader.read(io.BytesIO(empty * (MAX_BOXES + 1)))
    assert (crowded.state, crowded.failures) == ("unreadable", ("container.boxes",))
    assert shop.reader.read(io.BytesIO(empty * 500)).failures != ("container.boxes",)


def test_hostile_texts_are_cleaned_and_cut(shop: Workshop, tmp_path: Path) -> None:
    manifest = json.loads(json.dumps(build_manifest(facts())))
    manifest["claim_generator_info"][0] |= {
        "name": "<script>\x1b[31m\u202egpj.exe\r\nSet-Cookie: a=b",
        "version": "9" * 10_000,
    }
    actions, binding = (manifest["assertions"][index]["data"] for index in (0, 1))
    actions["actions"] += [{"action": f"com.example.a{n}\x00\u2066"} for n in range(200)]
    binding["blocks"] = [{"scope": {}, "value": "1*" + "a" * 5_000}] * 100
    path = tmp_path / "hostile.mp4"
    with (
        c2pa.Context.from_json(context_settings(claim_anchors="", stamp_anchors="")) as context,
        c2pa.Signer.from_callback(
            shop.pki.identity.sign,
            c2pa.C2paSigningAlg.ES256,
            shop.pki.chain_pem,
            shop.tsa_url,
        ) as signer,
        c2pa.Builder(json.dumps(manifest), context=context) as builder,
        draw_clip(tmp_path / "source.mp4").open("rb") as clip,
        path.open("w+b") as out,
    ):
        builder.sign(signer, "video/mp4", clip, out)
    found = shop.reader.read(path)
    texts = [
        *found.actions,
        *found.digital_source_types,
        *(text for pair in found.soft_bindings for text in pair),
        found.generator or "",
        found.signer or "",
    ]
    assert found.generator is not None
    assert found.generator.startswith("<script> [31m gpj.exe Set-Cookie")  # text, not markup
    assert all(text.isprintable() for text in texts)
    assert max(map(len, texts)) <= 2 * MAX_TEXT_CHARS + 1
    assert len(found.actions) == len(found.soft_bindings) == MAX_ITEMS
