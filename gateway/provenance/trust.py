"""The settings under which the signing library reads: always explicit, never the network."""

from __future__ import annotations

import json
from typing import Any

# Which extended key usages a signer or a time-stamp authority may have.
KEY_USAGES = "\n".join(
    (
        "1.3.6.1.5.5.7.3.4",  # e-mail protection
        "1.3.6.1.5.5.7.3.36",  # document signing
        "1.3.6.1.4.1.62558.2.1",  # C2PA claim signing
        "1.3.6.1.5.5.7.3.8",  # time stamping
    )
)
# The library puts claim and time-stamp anchors into one pot: a holder of any certificate below
# a time-stamp root would sign "trusted" claims. It has two lists, though, and says which one
# the signer was found in; claims count only from this one.
CLAIM_LIST = "user_anchors"
_STAMP_LIST = "trust_anchors"
# Above this the library spills to a temporary file instead of memory (its default is 512 MiB).
MEMORY_MIB = 16


def context_settings(
    *,
    claim_anchors: str,
    stamp_anchors: str,
    created_labels: tuple[str, ...] = (),
) -> str:
    """Give the settings as JSON text, for ``Context.from_json``.

    Unknown keys are accepted silently by the library, so nothing from outside is merged in.
    """
    trust = {"trust_config": KEY_USAGES}
    if claim_anchors.strip():
        trust[CLAIM_LIST] = claim_anchors
    if stamp_anchors.strip():
        trust[_STAMP_LIST] = stamp_anchors
    settings: dict[str, Any] = {
        "version": 1,
        "core": {"backing_store_memory_threshold_in_mb": MEMORY_MIB},
        "verify": {
            "verify_trust": True,
            "verify_timestamp_trust": True,
            "verify_after_reading": True,
            "verify_after_sign": True,
            # Else an uploaded clip makes this machine call any address, loopback included.
            "remote_manifest_fetch": False,
            "ocsp_fetch": False,
        },
        "trust": trust,
        "builder": {"thumbnail": {"enabled": False}},
    }
    if created_labels:
        settings["builder"]["created_assertion_labels"] = list(created_labels)
    return json.dumps(settings)
