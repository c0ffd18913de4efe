"""The receipt: an entry, its path to a signed root, and nothing that needs the gateway."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from gateway.audit import entry, merkle
from gateway.audit.checkpoint import CheckpointReader
from gateway.audit.entry import Entry


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """Evidence that the log holds an entry. ``proof`` runs from the leaf upwards."""

    index: int
    leaf: bytes
    proof: tuple[bytes, ...]
    checkpoint: str

    def verify(self, verifier: CheckpointReader) -> Entry:
        """The entry, when all of these hold; raises a ValueError otherwise.

        1. The checkpoint is signed by a key of ``verifier``.
        2. The path leads from the leaf, at this index, to the signed root.
        3. The leaf is an entry of the documented form.

        It does not show that the log is the same for everybody (compare checkpoints), nor
        that what the entry says is true.
        """
        # 1
        head = verifier.open(self.checkpoint)
        # 2
        merkle.verify_inclusion(
            leaf=self.leaf, index=self.index, size=head.size, proof=self.proof, root=head.root
        )
        # 3
        return entry.read(self.leaf)

    @property
    def text(self) -> str:
        """The receipt in the form of c2sp.org/tlog-proof; the leaf is its extra data."""
        lines = [
            "c2sp.org/tlog-proof@v1",
            f"extra {base64.b64encode(self.leaf).decode()}",
            f"index {self.index}",
            *(base64.b64encode(step).decode() for step in self.proof),
            "",
            self.checkpoint,
        ]
        return "\n".join(lines)
