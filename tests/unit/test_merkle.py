"""The tree, against a naive recursion of RFC 6962 and the Certificate Transparency vectors."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audit import merkle
from gateway.audit.merkle import ProofFault, TreeFault

# The inputs and results of certificate-transparency's merkle_tree_test.
CT_LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
CT_INCLUSION_0_OF_8 = (
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
)
CT_CONSISTENCY_6_TO_8 = (
    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
)
CT_CONSISTENCY_2_TO_5 = (
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
)

# Around the edges of tiles of one and of two levels.
EDGES = st.sampled_from([1, 2, 3, 255, 256, 257, 511, 512, 513, 767, 1024, 1025])
SIZES = st.one_of(st.integers(min_value=1, max_value=1_100), EDGES)


class Tiles:
    """Tiles in a dictionary."""

    def __init__(self) -> None:
        self.kept: dict[tuple[int, int], bytes] = {}

    def tile(self, level: int, index: int) -> bytes:
        return self.kept.get((level, index), b"")


def leaves_of(size: int) -> list[bytes]:
    return [b"leaf %d" % index for index in range(size)]


def grown(leaves: list[bytes], *, batch: int = 1_000) -> Tiles:
    tiles = Tiles()
    for start in range(0, len(leaves), batch):
        hashes = [merkle.leaf_hash(leaf) for leaf in leaves[start : start + batch]]
        tiles.kept.update(merkle.grown_tiles(tiles, start, hashes))
    return tiles


def naive_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 §2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = naive_split(len(leaves))
    pair = naive_root(leaves[:k]) + naive_root(leaves[k:])
    return hashlib.sha256(b"\x01" + pair).digest()


def naive_split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def naive_path(m: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962 §2.1.1."""
    if len(leaves) == 1:
        return []
    k = naive_split(len(leaves))
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


def naive_subproof(m: int, leaves: list[bytes], *, whole: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962 §2.1.2."""
    if m == len(leaves):
        return [] if whole else [naive_root(leaves)]
    k = naive_split(len(leaves))
    if m <= k:
        return [*naive_subproof(m, leaves[:k], whole=whole), naive_root(leaves[k:])]
    return [*naive_subproof(m - k, leaves[k:], whole=False), naive_root(leaves[:k])]


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_of_certificate_transparency(size: int) -> None:
    assert merkle.root(grown(CT_LEAVES[:size]), size).hex() == CT_ROOTS[size - 1]


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert merkle.root(Tiles(), 0) == hashlib.sha256(b"").digest()
    assert merkle.Frontier().root() == hashlib.sha256(b"").digest()


def test_proofs_are_those_of_certificate_transparency() -> None:
    tiles = grown(CT_LEAVES)
    path = merkle.inclusion_proof(tiles, 0, 8)
    assert tuple(step.hex() for step in path) == CT_INCLUSION_0_OF_8
    path = merkle.consistency_proof(tiles, 6, 8)
    assert tuple(step.hex() for step in path) == CT_CONSISTENCY_6_TO_8
    path = merkle.consistency_proof(tiles, 2, 5)
    assert tuple(step.hex() for step in path) == CT_CONSISTENCY_2_TO_5


@settings(max_examples=25, deadline=None)
@given(size=SIZES, batch=st.integers(min_value=1, max_value=600), data=st.data())
def test_roots_and_proofs_are_those_of_the_naive_recursion(
    size: int, batch: int, data: st.DataObject
) -> None:
    leaves = leaves_of(size)
    tiles = grown(leaves, batch=batch)
    old = data.draw(st.integers(min_value=1, max_value=size))
    index = data.draw(st.integers(min_value=0, max_value=old - 1))
    root, old_root = merkle.root(tiles, size), merkle.root(tiles, old)
    assert root == naive_root(leaves)
    assert old_root == naive_root(leaves[:old])
    path = merkle.inclusion_proof(tiles, index, old)
    assert list(path) == naive_path(index, leaves[:old])
    merkle.verify_inclusion(
        leaf=leaves[index], index=index, size=old, proof=path, root=old_root
    )
    extension = merkle.consistency_proof(tiles, old, size)
    assert list(extension) == (naive_subproof(old, leaves, whole=True))
    merkle.verify_consistency(
        old=old, new=size, old_root=old_root, new_root=root, proof=extension
    )


@settings(max_examples=25, deadline=None)
@given(size=SIZES, first=st.integers(min_value=1, max_value=600))
def test_tiles_do_not_depend_on_how_the_leaves_came(size: int, first: int) -> None:
    leaves = leaves_of(size)
    tiles = grown(leaves, batch=first)
    assert tiles.kept == grown(leaves, batch=size).kept
    widths = {(level, index): width * 32 for level, index, width in merkle.tile_widths(size)}
    assert {place: len(hashes) for place, hashes in tiles.kept.items()} == widths


@settings(max_examples=30, deadline=None)
@given(size=SIZES)
def test_the_frontier_has_the_same_root_as_the_tiles(size: int) -> None:
    frontier = merkle.Frontier()
    for leaf in leaves_of(size):
        frontier.append(merkle.leaf_hash(leaf))
    assert frontier.root() == merkle.root(grown(leaves_of(size)), size)


@settings(max_examples=30, deadline=None)
@given(size=st.integers(min_value=1, max_value=70), data=st.data())
def test_an_inclusion_proof_with_any_change_proves_nothing(
    size: int, data: st.DataObject
) -> None:
    leaves = leaves_of(size)
    tiles = grown(leaves)
    index = data.draw(st.integers(min_value=0, max_value=size - 1))
    good = {
        "leaf": leaves[index],
        "index": index,
        "size": size,
        "proof": merkle.inclusion_proof(tiles, index, size),
        "root": merkle.root(tiles, size),
    }
    merkle.verify_inclusion(**good)
    path = list(good["proof"])
    changes = [
        {"leaf": leaves[index] + b"."},
        {"index": -1},
        {"index": size},
        {"root": bytes(32)},
        {"proof": [*path, bytes(32)]},
        *({"index": other} for other in range(size) if other != index),
        *({"proof": path[:cut]} for cut in range(len(path))),
        *({"proof": swapped(path, at, bit)} for at in range(len(path)) for bit in (0, 255)),
        *({"proof": [*path[:at], step[:-1], *path[at + 1 :]]} for at, step in enumerate(path)),
    ]
    for change in changes:
        with pytest.raises(ProofFault):
            merkle.verify_inclusion(**{**good, **change})


@settings(max_examples=30, deadline=None)
@given(size=st.integers(min_value=1, max_value=70), data=st.data())
def test_a_consistency_proof_with_any_change_proves_nothing(
    size: int, data: st.DataObject
) -> None:
    tiles = grown(leaves_of(size))
    old = data.draw(st.integers(min_value=1, max_value=size))
    good = {
        "old": old,
        "new": size,
        "old_root": merkle.root(tiles, old),
        "new_root": merkle.root(tiles, size),
        "proof": merkle.consistency_proof(tiles, old, size),
    }
    merkle.verify_consistency(**good)
    path = list(good["proof"])
    changes = [
        {"old_root": bytes(32)},
        {"new_root": bytes(32)},
        {"old": size + 1},
        {"old": -1},
        {"proof": [*path, bytes(32)]},
        *({"proof": path[:cut]} for cut in range(len(path))),
        *({"proof": swapped(path, at, bit)} for at in range(len(path)) for bit in (0, 255)),
    ]
    for change in changes:
        with pytest.raises(ProofFault):
            merkle.verify_consistency(**{**good, **change})


def swapped(path: list[bytes], at: int, bit: int) -> list[bytes]:
    """The path with one bit turned over."""
    turned = bytearray(path[at])
    turned[bit // 8] ^= 1 << (bit % 8)
    return [*path[:at], bytes(turned), *path[at + 1 :]]


def test_a_rewritten_history_is_not_an_extension() -> None:
    honest, forged = leaves_of(300), leaves_of(400)
    forged[17] = b"another"
    tiles = grown(forged)
    with pytest.raises(ProofFault):
        merkle.verify_consistency(
            old=300,
            new=400,
            old_root=naive_root(honest),
            new_root=merkle.root(tiles, 400),
            proof=merkle.consistency_proof(tiles, 300, 400),
        )


def test_the_empty_tree_is_extended_by_any_tree_without_proof() -> None:
    root = merkle.root(grown(leaves_of(5)), 5)
    empty = merkle.EMPTY_ROOT
    merkle.verify_consistency(old=0, new=5, old_root=empty, new_root=root, proof=())
    with pytest.raises(ProofFault):
        merkle.verify_consistency(old=0, new=5, old_root=root, new_root=root, proof=())


def test_missing_or_short_tiles_stop_every_question() -> None:
    tiles = grown(leaves_of(600))
    full = tiles.kept[0, 1]
    for broken in (b"", full[:-32], full[:-1]):
        tiles.kept[0, 1] = broken
        with pytest.raises(TreeFault):
            merkle.inclusion_proof(tiles, 300, 600)
    tiles.kept[0, 1] = full
    tiles.kept[0, 2] = tiles.kept[0, 2][:-32]
    with pytest.raises(TreeFault):
        merkle.root(tiles, 600)
    with pytest.raises(TreeFault):
        merkle.grown_tiles(tiles, 600, [bytes(32)])


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5)])
def test_an_index_outside_the_tree_has_no_proof(index: int, size: int) -> None:
    with pytest.raises(TreeFault):
        merkle.inclusion_proof(grown(leaves_of(5)), index, size)


@pytest.mark.parametrize(("old", "new"), [(6, 5), (-1, 5)])
def test_a_tree_does_not_extend_a_larger_one(old: int, new: int) -> None:
    with pytest.raises(TreeFault):
        merkle.consistency_proof(grown(leaves_of(6)), old, new)
