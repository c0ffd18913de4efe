"""The tree: RFC 6962 hashes, stored in tiles of 256, with proofs that stand alone.

Pure functions; nothing here knows where tiles are kept. A tile (level L, index N) holds up
to 256 hashes of complete subtrees of 256^L leaves each (C2SP tlog-tiles).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

HASH_BYTES = 32
TILE_BITS = 8
TILE_WIDTH = 1 << TILE_BITS
EMPTY_ROOT = hashlib.sha256(b"").digest()


class TileReader(Protocol):
    """Where tiles come from."""

    def tile(self, level: int, index: int) -> bytes:
        """The hashes stored in a tile, 32 bytes each, maybe fewer than 256 of them.

        Returns no bytes when there is no such tile.
        """


class ProofFault(ValueError):
    """A proof does not prove what it claims."""


class TreeFault(ValueError):
    """The tiles do not hold the tree that was asked for."""


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256(0x00 || leaf), RFC 6962 §2.1."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right), RFC 6962 §2.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(tiles: TileReader, size: int) -> bytes:
    """The root of the first ``size`` leaves. Raises TreeFault when a tile is missing."""
    if size < 0:
        raise TreeFault("A tree has no negative size.")
    return _range(tiles, 0, size) if size else EMPTY_ROOT


def inclusion_proof(tiles: TileReader, index: int, size: int) -> tuple[bytes, ...]:
    """PATH(index, D[size]) of RFC 6962 §2.1.1: the sibling hashes from the leaf upwards.

    Raises TreeFault when the index is not in the tree or a tile is missing.
    """
    if not 0 <= index < size:
        raise TreeFault("The index is not in the tree.")
    path = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_range(tiles, middle, end))
            end = middle
        else:
            path.append(_range(tiles, start, middle))
            start = middle
    return tuple(reversed(path))


def consistency_proof(tiles: TileReader, old: int, new: int) -> tuple[bytes, ...]:
    """PROOF(old, D[new]) of RFC 6962 §2.1.2. Empty when ``old`` is 0 or equal to ``new``.

    Raises TreeFault when ``old`` is larger than ``new`` or a tile is missing.
    """
    if not 0 <= old <= new:
        raise TreeFault("The older tree is larger than the newer one.")
    if old in (0, new):
        return ()
    path = []
    start, end = 0, new
    # RFC 6962 §2.1.2 SUBPROOF(m, D[start:end], b): b holds while start is still 0.
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(_range(tiles, middle, end))
            end = middle
        else:
            path.append(_range(tiles, start, middle))
            start = middle
    if start:
        path.append(_range(tiles, start, end))
    return tuple(reversed(path))


def verify_inclusion(
    *, leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Return when all of these hold; raise ProofFault otherwise (RFC 9162 §2.1.3.2).

    1. The index is in the tree.
    2. Every hash is 32 bytes, and there are exactly as many as the path is long.
    3. Hashing from the leaf along the path gives the root.

    The caller still has to know that the root is the log's (a signed checkpoint).
    """
    # 1
    if not 0 <= index < size:
        raise ProofFault("The index is not in the tree.")
    # 2
    if any(len(step) != HASH_BYTES for step in proof):
        raise ProofFault("A hash in the proof is not 32 bytes.")
    position, last = index, size - 1
    found = leaf_hash(leaf)
    # 3
    for step in proof:
        if last == 0:
            raise ProofFault("The proof is too long.")
        if position & 1 or position == last:
            found = node_hash(step, found)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            found = node_hash(found, step)
        position, last = position >> 1, last >> 1
    if last == 0 and found == root:
        return
    raise ProofFault("The proof does not lead to the root.")


def verify_consistency(
    *, old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Return when all of these hold; raise ProofFault otherwise (RFC 9162 §2.1.4.2).

    1. The older tree is not larger than the newer one.
    2. Trees of the same size have the same root, and nothing else proves it.
    3. The empty tree has the empty root; any tree extends it.
    4. The proof leads to the old root and, by the same hashes, to the new one.
    """
    # 1
    if not 0 <= old <= new:
        raise ProofFault("The older tree is larger than the newer one.")
    # 2
    if old == new:
        if old_root == new_root and not proof:
            return
        raise ProofFault("Two trees of one size have different roots.")
    # 3
    if old == 0:
        if old_root == EMPTY_ROOT and not proof:
            return
        raise ProofFault("The empty tree has another root.")
    # 4
    if any(len(step) != HASH_BYTES for step in proof):
        raise ProofFault("A hash in the proof is not 32 bytes.")
    steps = list(proof)
    if old & (old - 1) == 0:
        steps.insert(0, old_root)
    if not steps:
        raise ProofFault("The proof is too short.")
    position, last = old - 1, new - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    first = second = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise ProofFault("The proof is too long.")
        if position & 1 or position == last:
            first, second = node_hash(step, first), node_hash(step, second)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            second = node_hash(second, step)
        position, last = position >> 1, last >> 1
    if last == 0 and first == old_root and second == new_root:
        return
    raise ProofFault("The proof does not lead to both roots.")


def grown_tiles(
    tiles: TileReader, size: int, leaf_hashes: Iterable[bytes]
) -> dict[tuple[int, int], bytes]:
    """The tiles that change when leaves are appended to a tree of ``size``, in full.

    Reads at most one tile per level. Raises TreeFault when the tiles do not fit the size.
    """
    changed: dict[tuple[int, int], bytes] = {}
    counts: list[int] = []
    open_tiles: list[bytearray] = []

    def add(level: int, value: bytes) -> None:
        if level == len(counts):
            count = size >> (TILE_BITS * level)
            counts.append(count)
            open_tiles.append(bytearray(_stored(tiles, level, count)))
        open_tiles[level] += value
        index = counts[level] >> TILE_BITS
        counts[level] += 1
        if counts[level] % TILE_WIDTH == 0:
            full = bytes(open_tiles[level])
            changed[level, index] = full
            open_tiles[level] = bytearray()
            add(level + 1, _fold(full))

    for value in leaf_hashes:
        add(0, value)
    for level, count in enumerate(counts):
        if open_tiles[level]:
            changed[level, count >> TILE_BITS] = bytes(open_tiles[level])
    return changed


def tile_widths(size: int) -> Iterator[tuple[int, int, int]]:
    """Every tile of a tree of ``size`` as (level, index, number of hashes)."""
    level, count = 0, size
    while count:
        for index in range(count >> TILE_BITS):
            yield level, index, TILE_WIDTH
        if count % TILE_WIDTH:
            yield level, count >> TILE_BITS, count % TILE_WIDTH
        level, count = level + 1, count >> TILE_BITS


class Frontier:
    """The right edge of a growing tree: its root at any moment, in logarithmic memory."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def append(self, value: bytes) -> None:
        """Add a leaf hash."""
        size = self.size
        while size & 1:
            value = node_hash(self._peaks.pop(), value)
            size >>= 1
        self._peaks.append(value)
        self.size += 1

    def root(self) -> bytes:
        """The root of all leaves so far."""
        if not self._peaks:
            return EMPTY_ROOT
        found = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            found = node_hash(peak, found)
        return found


def _split(width: int) -> int:
    """The largest power of two below ``width`` (RFC 6962 §2.1: k)."""
    return 1 << ((width - 1).bit_length() - 1)


def _range(tiles: TileReader, start: int, end: int) -> bytes:
    """MTH(D[start:end]); RFC 6962 splits make every full half aligned to its width."""
    width = end - start
    if width & (width - 1) == 0:
        return _subtree(tiles, start, width.bit_length() - 1)
    middle = start + _split(width)
    return node_hash(_range(tiles, start, middle), _range(tiles, middle, end))


def _subtree(tiles: TileReader, start: int, height: int) -> bytes:
    """The root of the complete subtree of 2^height leaves that begins at ``start``."""
    level, within = divmod(height, TILE_BITS)
    first = start >> (TILE_BITS * level)
    stored = tiles.tile(level, first >> TILE_BITS)
    offset = (first % TILE_WIDTH) * HASH_BYTES
    hashes = stored[offset : offset + (HASH_BYTES << within)]
    if len(hashes) != HASH_BYTES << within:
        raise TreeFault(f"Tile {level}/{first >> TILE_BITS} is missing or too short.")
    return _fold(hashes)


def _fold(hashes: bytes) -> bytes:
    row = [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


def _stored(tiles: TileReader, level: int, count: int) -> bytes:
    width = (count % TILE_WIDTH) * HASH_BYTES
    stored = tiles.tile(level, count >> TILE_BITS) if width else b""
    if len(stored) != width:
        raise TreeFault(f"Tile {level}/{count >> TILE_BITS} does not fit the tree.")
    return stored
