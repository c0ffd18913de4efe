"""The manifest store inside a signed file of ours: the bytes of ``application/c2pa``."""

from __future__ import annotations

import struct
from pathlib import Path

from gateway.errors import StageUnavailable

C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
# C2PA 2.4 §A.4.1: after the UUID version and flags, the purpose with its NUL, and the offset
# of the first auxiliary box.
_VERSION = b"\0\0\0\0"
_PURPOSE = b"manifest\0"
_OFFSET_BYTES = 8
MAX_STORE_BYTES = 16 * 1024 * 1024


def manifest_store(path: Path) -> bytes:
    """Give the bytes of the C2PA box of an MP4 that we signed: one JUMBF superbox.

    Never for a file from outside. Raises StageUnavailable when the file holds none, or is not
    what our signer writes.
    """
    try:
        with path.open("rb") as stream:
            end = stream.seek(0, 2)
            at = 0
            while at + 8 <= end:
                stream.seek(at)
                head = stream.read(16)
                size, kind = struct.unpack(">I4s", head[:8])
                start = at + 8
                if size == 1 and len(head) == 16:
                    size, start = struct.unpack(">Q", head[8:])[0], at + 16
                after = at + size if size else end
                if not start <= after <= end:
                    break
                if kind == b"uuid" and after - start <= MAX_STORE_BYTES:
                    stream.seek(start)
                    found = _store(stream.read(after - start))
                    if found is not None:
                        return found
                at = after
    except OSError as fault:
        raise StageUnavailable("The file to be read is not there.") from fault
    raise StageUnavailable("The file holds no manifest of ours.")


def _store(box: bytes) -> bytes | None:
    head = C2PA_UUID + _VERSION + _PURPOSE
    store = box[len(head) + _OFFSET_BYTES :]
    if not box.startswith(head) or len(store) < 8:
        return None
    size, kind = struct.unpack(">I4s", store[:8])
    # What may stand behind the superbox is padding, which no reader hashes.
    return store[:size] if kind == b"jumb" and 8 <= size <= len(store) else None
