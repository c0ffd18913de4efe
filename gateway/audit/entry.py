"""The entry: one event as the exact bytes that the log keeps for ever."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from gateway.audit import canonical

VERSION = 1
FIELDS = frozenset({"v", "id", "kind", "subject", "tenant", "time", "facts", "personal"})
MAX_LEAF_BYTES = 16_384
MAX_ID_CHARS = 200
MAX_SUBJECT_CHARS = 80
MAX_TEXT_CHARS = 1_024
MAX_LIST_ITEMS = 256
MAX_FACTS = 64
RECORD_KEY_BYTES = 32

# Names that must not become facts, whoever adds them. A leaf can never be erased.
WITHHELD = frozenset(
    {
        "address",
        "authorization",
        "email",
        "ip",
        "key",
        "name",
        "negative_prompt",
        "password",
        "pepper",
        "phone",
        "prompt",
        "scores",
        "secret",
        "text",
        "token",
        "user",
    }
)

_WORD = r"[a-z][a-z0-9_]{0,62}"
_ID = re.compile(r"[A-Za-z0-9_.@/-]+(?::[A-Za-z0-9_.@/-]+)+", re.ASCII)
_KIND = re.compile(rf"{_WORD}\.{_WORD}", re.ASCII)
_SUBJECT = re.compile(r"[A-Za-z0-9_.@/-]{1,80}", re.ASCII)
_TENANT = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_FACT = re.compile(_WORD, re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_COMMITMENT = re.compile(r"[0-9a-f]{64}", re.ASCII)

Fact: TypeAlias = "str | int | bool | Sequence[str | int | bool | None] | None"


class EventKind(StrEnum):
    """What can happen, as ``noun.verbed``. Stored for ever: append, never rename."""

    REQUEST_ACCEPTED = "request.accepted"
    REQUEST_REFUSED = "request.refused"
    REQUEST_HELD = "request.held"
    VERDICT_GIVEN = "verdict.given"
    VIDEO_APPROVED = "video.approved"
    VIDEO_GENERATED = "video.generated"
    VIDEO_CLEARED = "video.cleared"
    VIDEO_REFUSED = "video.refused"
    VIDEO_HELD = "video.held"
    VIDEO_RULED = "video.ruled"
    VIDEO_MARKED = "video.marked"
    VIDEO_SIGNED = "video.signed"
    VIDEO_PUBLISHED = "video.published"
    VIDEO_RELEASED = "video.released"
    VIDEO_FAILED = "video.failed"
    VIDEO_CANCELLED = "video.cancelled"
    VIDEO_DELETED = "video.deleted"
    VIDEO_EXPIRED = "video.expired"
    KEY_CREATED = "key.created"
    KEY_REVOKED = "key.revoked"
    POLICY_ADOPTED = "policy.adopted"
    PERSONAL_ERASED = "personal.erased"
    GATEWAY_STARTED = "gateway.started"
    CHECKPOINT_ANCHORED = "checkpoint.anchored"
    NAME_ADDED = "name.added"
    NAME_REMOVED = "name.removed"
    CONSENT_RECORDED = "consent.recorded"
    CONSENT_REVOKED = "consent.revoked"
    TENANT_VETTED = "tenant.vetted"
    REWRITE_OFFERED = "rewrite.offered"
    REWRITE_CONFIRMED = "rewrite.confirmed"
    HASH_LIST_ADDED = "hash_list.added"
    HASH_LIST_REMOVED = "hash_list.removed"
    FACE_ENROLLED = "face.enrolled"
    FACE_REMOVED = "face.removed"
    VIDEO_DELAYED = "video.delayed"
    VIDEO_RETRIED = "video.retried"
    PERSON_INVITED = "person.invited"
    PERSON_JOINED = "person.joined"
    PERSON_ASSIGNED = "person.assigned"
    PERSON_ENDED = "person.ended"
    SESSION_OPENED = "session.opened"
    CASE_TAKEN = "case.taken"
    CASE_VIEWED = "case.viewed"
    CASE_ESCALATED = "case.escalated"
    CASE_RULED = "case.ruled"
    LOG_KEY_ADDED = "log.key_added"
    LOG_KEY_RETIRED = "log.key_retired"
    VIDEO_WITHDRAWN = "video.withdrawn"


class EntryFault(ValueError):
    """An event or leaf is not of the documented form. A fault of the program, not of a user."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened, as the business code states it.

    ``id`` is ``subject:step:kind`` and unique for ever; it makes a repeated step harmless.
    ``tenant`` is a pseudonym. ``facts`` hold digests, counts and names of parts, never
    anything about a person; that goes into ``personal``, of which the log keeps only a
    commitment. Raises EntryFault when a field is not of the documented form.
    """

    id: str
    kind: str
    subject: str
    tenant: str | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)
    personal: Mapping[str, Fact] | None = None

    def __post_init__(self) -> None:
        if self.kind not in EventKind.__members__.values():
            raise EntryFault(f"{self.kind!r} is not a known kind of event.")
        _require_names(self.id, self.kind, self.subject, self.tenant)
        _require_facts(self.facts)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A leaf, read back. ``time`` is RFC 3339 UTC with microseconds.

    ``personal`` is the commitment to the personal half (64 hex digits), or None.
    """

    id: str
    kind: str
    subject: str
    tenant: str | None
    time: str
    facts: Mapping[str, Fact]
    personal: str | None

    @property
    def statement(self) -> tuple[object, ...]:
        """What the entry says, apart from when and from the random commitment."""
        facts = canonical.dumps(dict(self.facts))
        has_personal = self.personal is not None
        return (self.id, self.kind, self.subject, self.tenant, facts, has_personal)


@dataclass(frozen=True, kw_only=True)
class Personal:
    """The personal half of an event, kept outside the log beside its random key."""

    record: bytes
    record_key: bytes

    @property
    def commitment(self) -> str:
        """HMAC-SHA-256(record_key, record) in hex; without the key it says nothing."""
        return hmac.new(self.record_key, self.record, hashlib.sha256).hexdigest()


def personal_half(event: Event) -> Personal | None:
    """The personal half under a fresh random key, or None when the event has none."""
    if event.personal is None:
        return None
    record = canonical.dumps(dict(event.personal))
    return Personal(record=record, record_key=secrets.token_bytes(RECORD_KEY_BYTES))


def leaf(event: Event, time: dt.datetime, *, commitment: str | None = None) -> bytes:
    """The leaf of an event: RFC 8785 JSON, version 1, fields as in docs/audit.md.

    ``time`` must carry a time zone. ``commitment`` is that of the personal half. Raises
    EntryFault when the leaf would be larger than MAX_LEAF_BYTES or is not well formed.
    """
    if time.tzinfo is None:
        raise EntryFault("The time of an event must carry a time zone.")
    if (commitment is None) != (event.personal is None):
        raise EntryFault("A personal half and its commitment belong together.")
    stamp = time.astimezone(dt.UTC).isoformat(timespec="microseconds")
    written = canonical.dumps(
        {
            "v": VERSION,
            "id": event.id,
            "kind": str(event.kind),
            "subject": event.subject,
            "tenant": event.tenant,
            "time": stamp.removesuffix("+00:00") + "Z",
            "facts": {name: _plain(value) for name, value in event.facts.items()},
            "personal": commitment,
        }
    )
    read(written)
    return written


def read(written: bytes) -> Entry:
    """The entry in a leaf. Raises EntryFault unless all of these hold:

    1. it is at most MAX_LEAF_BYTES long;
    2. it is RFC 8785 JSON, byte for byte;
    3. it is an object with exactly the fields of version 1, and says it is version 1;
    4. each field has the documented form.

    A kind that this release does not know is accepted: a newer release may have written it.
    """
    # 1
    if len(written) > MAX_LEAF_BYTES:
        raise EntryFault(f"A leaf holds at most {MAX_LEAF_BYTES} bytes.")
    # 2
    try:
        value = canonical.loads(written)
    except ValueError as fault:
        raise EntryFault(f"The leaf is not canonical JSON: {fault}") from fault
    # 3
    if not isinstance(value, dict) or value.keys() != FIELDS:
        raise EntryFault("The leaf does not have exactly the fields of version 1.")
    if value["v"] is True or value["v"] != VERSION:
        raise EntryFault("The leaf is of an unknown version.")
    # 4
    _require_names(value["id"], value["kind"], value["subject"], value["tenant"])
    if not isinstance(value["time"], str) or not _TIME.fullmatch(value["time"]):
        raise EntryFault("The time is not RFC 3339 UTC with microseconds.")
    commitment = value["personal"]
    if commitment is not None and not (
        isinstance(commitment, str) and _COMMITMENT.fullmatch(commitment)
    ):
        raise EntryFault("The commitment is not 64 hexadecimal digits.")
    _require_facts(value["facts"])
    return Entry(
        id=value["id"],
        kind=value["kind"],
        subject=value["subject"],
        tenant=value["tenant"],
        time=value["time"],
        facts=value["facts"],
        personal=commitment,
    )


def _require_names(event_id: object, kind: object, subject: object, tenant: object) -> None:
    if not (isinstance(subject, str) and _SUBJECT.fullmatch(subject)):
        raise EntryFault("The subject is 1 to 80 plain characters without a colon.")
    if not (
        isinstance(event_id, str)
        and len(event_id) <= MAX_ID_CHARS
        and _ID.fullmatch(event_id)
        and event_id.startswith(f"{subject}:")
    ):
        raise EntryFault("An event id is 'subject:step:kind' of at most 200 plain characters.")
    if not (isinstance(kind, str) and _KIND.fullmatch(kind)):
        raise EntryFault("A kind is 'noun.verbed' in small letters.")
    if tenant is not None and not (isinstance(tenant, str) and _TENANT.fullmatch(tenant)):
        raise EntryFault("A tenant pseudonym is 1 to 64 plain characters.")


def _require_facts(facts: object) -> None:
    if not isinstance(facts, Mapping) or len(facts) > MAX_FACTS:
        raise EntryFault(f"Facts are a mapping of at most {MAX_FACTS} names.")
    for name, value in facts.items():
        if not (isinstance(name, str) and _FACT.fullmatch(name)):
            raise EntryFault("The name of a fact is small letters, digits and underscores.")
        if name in WITHHELD:
            raise EntryFault(f"{name!r} must not go into the log; use the personal half.")
        items = value if isinstance(value, list | tuple) else (value,)
        if len(items) > MAX_LIST_ITEMS:
            raise EntryFault(f"The fact {name!r} has more than {MAX_LIST_ITEMS} items.")
        for item in items:
            _require_scalar(name, item)


def _require_scalar(name: str, item: object) -> None:
    if item is None or isinstance(item, bool):
        return
    if isinstance(item, int) and abs(item) <= canonical.MAX_INTEGER:
        return
    if isinstance(item, str) and len(item) <= MAX_TEXT_CHARS:
        return
    raise EntryFault(
        f"The fact {name!r} must be text, a whole number, true, false, null or a list of them."
    )


def _plain(value: Fact) -> object:
    return list(value) if isinstance(value, tuple) else value
