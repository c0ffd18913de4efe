"""Stamps: what an outside authority says of when a head of the log was there (RFC 3161).

Needs ``rfc3161-client`` and ``cryptography``; no database, no network.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

MAX_REPLY_BYTES = 65_536
SHA256_OID = "2.16.840.1.101.3.4.2.1"
_SHA256 = hashes.SHA256()


class StampFault(ValueError):
    """A reply is malformed, of another head, or of nobody who is trusted."""


@dataclass(frozen=True)
class Stamp:
    """A time that a trusted authority vouches for; with a zone, to the second."""

    time: dt.datetime


class StampReader:
    """Reads replies of time-stamp authorities whose root certificates are these (PEM).

    Raises StampFault when there is no certificate in the text.
    """

    def __init__(self, roots_pem: str) -> None:
        try:
            roots = x509.load_pem_x509_certificates(roots_pem.encode())
        except ValueError as fault:
            raise StampFault("There are no root certificates of an authority.") from fault
        self._roots = list({root.fingerprint(_SHA256): root for root in roots}.values())

    def read(self, reply: bytes, note: str, *, nonce: int | None = None) -> Stamp:
        """The stamp in a reply (DER TimeStampResp). Raises StampFault unless all hold:

        1. It grants a token over SHA-256 of this very note, with this nonce if one is given.
        2. The token is signed by a certificate for time stamping (RFC 3161 §2.3), valid at
           that time, that leads to one of the roots.
        """
        if len(reply) > MAX_REPLY_BYTES:
            raise StampFault("The reply is larger than a stamp can be.")
        builder = VerifierBuilder(roots=list(self._roots), nonce=nonce)
        try:
            response = decode_timestamp_response(reply)
            # 1, 2
            imprint = response.tst_info.message_imprint
            if imprint.hash_algorithm.dotted_string != SHA256_OID:
                raise StampFault("The stamp is over another kind of digest.")
            builder.build().verify(response, hashlib.sha256(note.encode()).digest())
            time = response.tst_info.gen_time
        except VerificationError as fault:
            raise StampFault(f"The stamp does not hold: {fault}") from fault
        except (ValueError, TypeError, OverflowError) as fault:
            raise StampFault("The reply is not a stamp.") from fault
        if response.as_bytes() != reply:
            raise StampFault("The reply has another spelling.")
        return Stamp(time if time.tzinfo else time.replace(tzinfo=dt.UTC))

    def time_of(self, reply: bytes, note: str) -> dt.datetime:
        """The time alone, as a check wants it; see ``read``."""
        return self.read(reply, note).time
