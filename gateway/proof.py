"""Proof: what register and log know of a clip that something named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.audit.entry import EventKind
from gateway.audit.entry import read as read_entry
from gateway.errors import NotFound
from gateway.findings import LogSays
from gateway.withdrawal import SENTENCES, Reason, event_id
from gateway.witnesses import RELEASED_STATES, ClipRegistry, PublicLog, RegisteredClip


@dataclass(frozen=True, kw_only=True)
class Withdrawn:
    """That a clip was taken back, as a signed entry has it. ``at`` is RFC 3339, UTC."""

    at: str
    reason: Reason

    @property
    def sentence(self) -> str:
        """For whoever checks a copy."""
        return f"It was withdrawn on {self.at[:10]}. {SENTENCES[self.reason]}"

    def to_dict(self) -> dict[str, str]:
        """As JSON values."""
        return {"at": self.at, "reason": str(self.reason), "meaning": SENTENCES[self.reason]}


@dataclass(frozen=True, kw_only=True)
class Known:
    """What register and log gave."""

    says: LogSays
    clip: RegisteredClip | None = None
    index: int | None = None
    withdrawn: Withdrawn | None = None

    @property
    def manifest_id(self) -> str | None:
        """The id of the clip's credentials, as long as they can be fetched."""
        if self.clip is None or self.clip.state != "released":
            return None
        return self.clip.manifest_id

    def details(self, sha256: str | None) -> dict[str, Any]:
        """For the report: public facts of a released clip, nothing about any other."""
        if self.says is not LogSays.RECORDED or self.clip is None:
            return {}
        released = self.clip.released_at
        return {
            "index": self.index,
            "released_at": released.isoformat() if released else None,
            "released_sha256": self.clip.sha256,
            "same_bytes": sha256 is not None and sha256 == self.clip.sha256,
            "manifest_id": self.manifest_id,
            "withdrawn": None if self.withdrawn is None else self.withdrawn.to_dict(),
        }


def consult(registry: ClipRegistry, log: PublicLog, clip_id: str | None) -> Known:
    """Look a clip up, and prove its publication under a signed head of the log.

    Never raises: a register or log that cannot be asked has not spoken.
    """
    if clip_id is None:
        return Known(says=LogSays.NOT_ASKED)
    try:
        clip = registry.find(clip_id)
        index = None if clip is None else _proven(log, clip, clip_id)
        withdrawn = None if clip is None or index is None else _withdrawn(log, clip)
    except Exception:  # noqa: BLE001 - a log that cannot be asked has not spoken
        return Known(says=LogSays.FAILED)
    if clip is not None and index is not None:
        return Known(says=LogSays.RECORDED, clip=clip, index=index, withdrawn=withdrawn)
    return Known(says=LogSays.NOT_RECORDED, clip=clip)


def _proven(log: PublicLog, clip: RegisteredClip, clip_id: str) -> int | None:
    """The index of the publication entry, when it is proven and tells the same story."""
    if clip.state not in RELEASED_STATES or clip.audit_index is None:
        return None
    try:
        receipt = log.inclusion(f"{clip.video_id}:publish:{EventKind.VIDEO_PUBLISHED}")
    except NotFound:
        return None
    entry = read_entry(receipt.leaf)
    facts = entry.facts
    if (
        entry.kind == EventKind.VIDEO_PUBLISHED
        and entry.subject == clip.video_id
        and facts.get("clip_id") == clip.clip_id == clip_id
        and facts.get("sha256") == clip.sha256
        and receipt.index == clip.audit_index
    ):
        return receipt.index
    return None


def _withdrawn(log: PublicLog, clip: RegisteredClip) -> Withdrawn | None:
    """Whether a signed entry says that the clip was taken back, whatever the row says now."""
    try:
        entry = read_entry(log.inclusion(event_id(clip.video_id)).leaf)
    except NotFound:
        return None
    if entry.subject != clip.video_id or entry.facts.get("clip_id") != clip.clip_id:
        raise ValueError("The entry of a withdrawal is of another clip.")
    return Withdrawn(at=entry.time, reason=Reason(str(entry.facts.get("reason"))))
