"""A signed clip after somebody touched it, as two independent verifiers see it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from tests.contract.provenance_kit import Workshop, boxes, workshop

pytestmark = pytest.mark.socket


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with workshop(tmp_path_factory.mktemp("shop")) as opened:
        yield opened


@pytest.fixture(scope="module")
def signed(shop: Workshop) -> bytes:
    return shop.signed("first").read_bytes()


@pytest.fixture(scope="module")
def other(shop: Workshop) -> bytes:
    return shop.signed("second", shade=90, clip_id="1111111111111111").read_bytes()


def _flipped(content: bytes, at: int) -> bytes:
    changed = bytearray(content)
    changed[at] ^= 1
    return bytes(changed)


def _tampered(case: str, signed: bytes, other: bytes) -> bytes:
    found, foreign = boxes(signed), boxes(other)
    start, end = found["c2pa"]
    claim = signed.index(b"claim_generator_info")
    changed = {
        "untouched": lambda: signed,
        "a bit of the pictures": lambda: _flipped(signed, found["mdat"][1] - 20),
        "a bit of the index": lambda: _flipped(signed, found["moov"][0] + 60),
        "a bit of an assertion": lambda: _flipped(
            signed, signed.index(b"trainedAlgorithmicMedia") + 3
        ),
        "a bit of the soft binding": lambda: _flipped(signed, signed.index(b"1*00c0ffee") + 4),
        "a bit of the claim": lambda: _flipped(signed, signed.index(b"Cinegate", claim) + 1),
        "a bit of the signature": lambda: _flipped(
            signed, signed.rindex(b"\x58\x40", start, end) + 9
        ),
        "cut in the pictures": lambda: signed[:-100],
        "cut in the manifest": lambda: signed[: start + 3_000],
        "manifest taken out": lambda: signed[:start] + signed[end:],
        "manifest of another clip": lambda: (
            signed[:start] + other[slice(*foreign["c2pa"])] + signed[end:]
        ),
        "an unknown box added": lambda: signed + b"\0\0\0\x10abcd12345678",
        "three bytes added": lambda: signed + b"abc",
        "a free box added": lambda: signed + b"\0\0\0\x10free12345678",
        "another brand": lambda: signed.replace(b"isom", b"mp42", 1),
        "nothing left": lambda: b"",
        "not a video": lambda: b"not a video at all " * 50,
    }
    return changed[case]()


# case, our state, our failures, the other verifier's state
TABLE = [
    ("untouched", "trusted", (), "trusted"),
    ("a bit of the pictures", "invalid", ("assertion.bmffHash.mismatch",), "invalid"),
    ("a bit of the index", "invalid", ("assertion.bmffHash.mismatch",), "invalid"),
    ("a bit of an assertion", "invalid", ("assertion.hashedURI.mismatch",), "invalid"),
    ("a bit of the soft binding", "invalid", ("assertion.hashedURI.mismatch",), "invalid"),
    ("a bit of the claim", "invalid", ("claimSignature.mismatch",), "invalid"),
    ("a bit of the signature", "invalid", ("claimSignature.mismatch",), "invalid"),
    ("cut in the pictures", "invalid", ("assertion.bmffHash.mismatch",), "unreadable"),
    ("cut in the manifest", "unreadable", ("manifest.unreadable",), "unreadable"),
    ("manifest taken out", "absent", (), "absent"),
    ("manifest of another clip", "invalid", ("assertion.bmffHash.mismatch",), "invalid"),
    ("an unknown box added", "invalid", ("assertion.bmffHash.mismatch",), "invalid"),
    # Known disagreement: the other verifier reads whole boxes only.
    ("three bytes added", "invalid", ("assertion.bmffHash.mismatch",), "trusted"),
    # Both leave ftyp and free boxes out of the hash: "trusted" is not "the same bytes".
    ("a free box added", "trusted", (), "trusted"),
    ("another brand", "trusted", (), "trusted"),
    ("nothing left", "unreadable", ("manifest.unreadable",), "unreadable"),
    ("not a video", "unreadable", ("manifest.unreadable",), "unreadable"),
]


@pytest.mark.parametrize(
    ("case", "state", "failures", "second"), TABLE, ids=[t[0] for t in TABLE]
)
def test_both_verifiers_say_what_happened_to(
    shop: Workshop,
    signed: bytes,
    other: bytes,
    tmp_path: Path,
    case: str,
    state: str,
    failures: tuple[str, ...],
    second: str,
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(_tampered(case, signed, other))
    assert case in {"untouched"} or path.read_bytes() != signed
    found = shop.reader.read(path)
    assert (found.state, found.failures) == (state, failures)
    assert found.ours is (state == "trusted")
    assert shop.second_verdict(path) == second


def test_a_copy_in_a_new_container_has_no_credentials_left(
    shop: Workshop, signed: bytes, tmp_path: Path
) -> None:
    (tmp_path / "signed.mp4").write_bytes(signed)
    with (
        av.open(str(tmp_path / "signed.mp4")) as source,
        av.open(str(tmp_path / "copy.mp4"), "w") as copy,
    ):
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    assert shop.reader.read(tmp_path / "copy.mp4").state == "absent"
    assert shop.second_verdict(tmp_path / "copy.mp4") == "absent"
