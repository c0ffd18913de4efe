"""Signed reports: what a verification found, so that it can be shown to somebody else.

A report is a JSON Web Signature (RFC 7515, compact) under an Ed25519 key (RFC 8037, named as
RFC 9864 has it). The key signs nothing else; its public half is a JWK Set (RFC 7517) that any
library for JOSE reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OKPKey

from gateway.errors import InvalidRequest
from gateway.verify import Report

ALGORITHM = "Ed25519"
MEDIA_TYPE = "application/jose"
# RFC 7515 §4.1.9: without "application/".
TYPE = "cinegate-report+json"
SEED_BYTES = 32
MAX_CHARS = 1_000_000


class ReportKey:
    """Signs reports. ``seed`` is 32 secret bytes, ``issuer`` says on whose behalf."""

    def __init__(self, seed: bytes, issuer: Mapping[str, str]) -> None:
        self._key = OKPKey.import_key(_pem(seed))
        self._issuer = dict(issuer)

    @property
    def jwks(self) -> dict[str, Any]:
        """The public half as a JWK Set; the id is its thumbprint (RFC 7638)."""
        plain = {**self._key.as_dict(private=False), "use": "sig", "alg": ALGORITHM}
        return {"keys": [{**plain, "kid": self._key.thumbprint()}]}

    def sign(self, report: Report) -> str:
        """The report, who says so, and the signature over both."""
        payload = {"issuer": self._issuer, "report": report.to_dict()}
        header = {"alg": ALGORITHM, "typ": TYPE, "kid": self._key.thumbprint()}
        content = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
        return jws.serialize_compact(header, content, self._key, algorithms=[ALGORITHM])


def read_signed(text: str, jwks: Mapping[str, Any]) -> dict[str, Any]:
    """The issuer and report in a signed report. Raises InvalidRequest unless all hold:

    1. It is a JWS of our type, short enough to be a report.
    2. One of the keys signed it, with the algorithm that reports have.
    3. It holds what a report holds.
    """
    try:
        if len(text) > MAX_CHARS:
            raise ValueError("too long")
        keys = KeySet.import_key_set({"keys": list(jwks["keys"])})
        found = jws.deserialize_compact(text.strip(), keys, algorithms=[ALGORITHM])
        if found.headers().get("typ") != TYPE:
            raise ValueError("another type")
        plain = json.loads(found.payload)
        report, issuer = plain["report"], plain["issuer"]
        known = all(isinstance(report[name], str) for name in ("finding", "sentence"))
        if not known or not isinstance(issuer, dict):
            raise TypeError("no report")
    except (JoseError, ValueError, KeyError, TypeError, RecursionError) as fault:
        raise InvalidRequest(
            "This is not a report that one of these keys signed.", param="report"
        ) from fault
    return dict(plain)


def _pem(seed: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
