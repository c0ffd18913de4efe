"""Credentials of people: passwords (Argon2id) and one-time codes (TOTP, RFC 6238)."""

from __future__ import annotations

import functools
import hmac

import pyotp
import segno
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from cryptography.fernet import Fernet, InvalidToken

from gateway.errors import ConfigurationFault, InvalidRequest

MIN_PASSWORD_CHARS = 12
MAX_PASSWORD_CHARS = 200
STEP_SECONDS = 30
DRIFT_STEPS = 1
ISSUER = "Cinegate"
LABEL_CHARS = 60  # more does not fit into a picture that a phone can read

# OWASP's least for Argon2id: 19 MiB, so that many who try at once do not use up the memory.
_hasher = PasswordHasher(memory_cost=19_456, time_cost=2, parallelism=1)


@functools.cache
def _nobodys() -> str:
    """Somebody who does not exist takes as long to refuse as somebody who does."""
    return hashed("nobody signs in with this")


def demand_password(password: str) -> None:
    """Raise InvalidRequest for a password that is too short or too long (NIST SP 800-63B)."""
    if not MIN_PASSWORD_CHARS <= len(password) <= MAX_PASSWORD_CHARS:
        raise InvalidRequest(
            f"A password needs {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters.",
            param="password",
        )


def hashed(password: str) -> str:
    """The PHC string to keep of a password."""
    return _hasher.hash(password)


def is_password(kept: str | None, password: str) -> bool:
    """Whether this is the password. Takes the same time when there is none."""
    try:
        _hasher.verify(kept or _nobodys(), password[:MAX_PASSWORD_CHARS])
    except (VerificationError, InvalidHashError):
        return False
    return kept is not None


def step_of_code(secret: str, code: str, *, now: float, last: int | None) -> int | None:
    """The time step of a right code, or None. ``now`` is in seconds since 1970.

    A code is right for its own step and the one on either side, and only once: a step up to
    ``last`` is over (RFC 6238, section 5.2).
    """
    made = pyotp.TOTP(secret, interval=STEP_SECONDS)
    current = int(now // STEP_SECONDS)
    for step in range(current - DRIFT_STEPS, current + DRIFT_STEPS + 1):
        right = hmac.compare_digest(made.at(step * STEP_SECONDS).encode(), code.encode())
        if right and (last is None or step > last):
            return step
    return None


def picture_of_secret(secret: str, name: str) -> str:
    """The secret as a QR code, an SVG element for an authenticator's camera."""
    uri = pyotp.TOTP(secret, interval=STEP_SECONDS).provisioning_uri(
        name=name[:LABEL_CHARS], issuer_name=ISSUER
    )
    svg = segno.make(uri, error="m").svg_inline(scale=5, dark="#000", light="#fff")
    return str(svg)


class Seal:
    """Encrypts what must be read again under a key outside the database."""

    def __init__(self, key: bytes) -> None:
        self._fernet = Fernet(key)

    def close(self, secret: str) -> bytes:
        """The secret, encrypted."""
        return self._fernet.encrypt(secret.encode())

    def open(self, sealed: bytes) -> str:
        """The secret. Raises ConfigurationFault when it was sealed under another key."""
        try:
            return self._fernet.decrypt(sealed).decode()
        except InvalidToken:
            raise ConfigurationFault(
                "The key of the one-time codes is not the right one."
            ) from None
