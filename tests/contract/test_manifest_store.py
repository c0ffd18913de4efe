"""The manifest store of a signed file: what the signer gave, and readable by itself."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import c2pa
import pytest

from gateway.errors import StageUnavailable
from gateway.provenance.manifest import build_manifest
from gateway.provenance.manifest_store import manifest_store
from gateway.provenance.trust import context_settings
from tests.contract.provenance_kit import Workshop, boxes, draw_clip, facts, workshop

pytestmark = pytest.mark.socket


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with workshop(tmp_path_factory.mktemp("shop")) as opened:
        yield opened


def test_it_is_what_the_signer_gave_and_reads_by_itself(shop: Workshop, tmp_path: Path) -> None:
    source = draw_clip(tmp_path / "source.mp4")
    signed = shop.signer.sign(
        build_manifest(facts()), source, tmp_path / "clip.mp4", thumbnail=None
    )
    store = manifest_store(signed.path)
    assert store == signed.manifest_store
    settings = context_settings(
        claim_anchors=shop.pki.anchors_pem, stamp_anchors=shop.pki.tsa_anchors_pem
    )
    with (
        c2pa.Context.from_json(settings) as context,
        c2pa.Reader("application/c2pa", io.BytesIO(store), context=context) as reader,
    ):
        assert signed.manifest_id in reader.json()


def test_a_file_without_a_whole_one_gives_none(shop: Workshop, tmp_path: Path) -> None:
    good = shop.signed("clip").read_bytes()
    start, end = boxes(good)["c2pa"]
    kind = good.index(b"manifest\0", start)
    broken = {
        "no box": good[:start] + good[end:],
        "cut": good[: start + 100],
        "another purpose": good[:kind] + b"original" + good[kind + 8 :],
        "another identifier": good[: start + 8] + b"\1" * 16 + good[start + 24 :],
        "no file": b"",
        "no boxes": b"\0" * 64,
        "a box of no size": b"\0\0\0\4uuid" + b"\0" * 64,
    }
    for name, content in broken.items():
        path = tmp_path / "broken.mp4"
        path.write_bytes(content)
        with pytest.raises(StageUnavailable, match="holds no manifest"):
            pytest.fail(f"{name}: {manifest_store(path)!r}")
    with pytest.raises(StageUnavailable):
        manifest_store(tmp_path / "absent.mp4")
