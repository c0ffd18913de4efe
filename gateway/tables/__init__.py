"""The tables, as SQLAlchemy 2 mappings. Stored values are for ever: append, never rename."""

from gateway.tables.audit import (
    AuditAnchor,
    AuditCheckpoint,
    AuditEntryRow,
    AuditHead,
    AuditOutbox,
    AuditPersonal,
    AuditTile,
)
from gateway.tables.base import Table, UtcTime
from gateway.tables.fingerprints import FingerprintRow
from gateway.tables.jobs import (
    ApiKey,
    ChoreRow,
    StageRow,
    Tenant,
    VerdictRow,
    Video,
    WorkerRow,
)
from gateway.tables.limits import IdempotencyRow, RateBucketRow
from gateway.tables.registries import Consent, EnrolledFaceRow, HashListRow, ProtectedNameRow
from gateway.tables.review import CaseRow, PersonRow, RulingRow, SessionRow

__all__ = [
    "ApiKey",
    "AuditAnchor",
    "AuditCheckpoint",
    "AuditEntryRow",
    "AuditHead",
    "AuditOutbox",
    "AuditPersonal",
    "AuditTile",
    "CaseRow",
    "ChoreRow",
    "Consent",
    "EnrolledFaceRow",
    "FingerprintRow",
    "HashListRow",
    "IdempotencyRow",
    "PersonRow",
    "ProtectedNameRow",
    "RateBucketRow",
    "RulingRow",
    "SessionRow",
    "StageRow",
    "Table",
    "Tenant",
    "UtcTime",
    "VerdictRow",
    "Video",
    "WorkerRow",
]
