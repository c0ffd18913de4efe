"""What an instance remembers: its record, its log and its registers, on one database."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property

import sqlalchemy as sa

from gateway import judges
from gateway.audit.anchors import Anchors, asking
from gateway.audit.keys import KEY_FILE, KeyFile
from gateway.audit.log import SqlAuditLog
from gateway.audit.sequencer import Sequencer
from gateway.audit.stamps import StampReader
from gateway.auth import KeyRing
from gateway.credentials import Seal
from gateway.db import Database
from gateway.enrolled_faces import EnrolledFaces
from gateway.errors import ConfigurationFault
from gateway.hash_lists import HashListRegistry
from gateway.housekeeping import HOUR, Chore
from gateway.jobs import migrate_engine
from gateway.keystore import random_secret
from gateway.people import People
from gateway.permissions import Permissions
from gateway.protected_names import NameRegistry
from gateway.provenance.keyfiles import secret_folder
from gateway.record import Record
from gateway.schema import current, head, migrate
from gateway.sessions import Sessions
from gateway.settings import Settings
from gateway.signed_reports import ReportKey
from gateway.tables import ApiKey, PersonRow
from gateway.telemetry import Source

SECRET_BYTES = 32


def utc_now() -> datetime:
    """The one clock."""
    return datetime.now(UTC)


class Registers:
    """The parts of one instance that keep something, each built on first use.

    Nothing is read or started by the constructor.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.settings = settings
        self.clock = clock

    def make_folder(self) -> None:
        """Make the data folder, for its owner only: prompts and raw media lie in it."""
        folder = self.settings.data_dir
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder.stat().st_mode & 0o077:
                folder.chmod(0o700)
        except OSError as fault:
            raise ConfigurationFault("The data folder cannot be made or written.") from fault

    def prepare(self) -> None:
        """Make the data folder and bring the database to this release.

        Raises ConfigurationFault when the settings must not run in production or the folder
        cannot be used. In production the database is only checked: 'cinegate migrate' is a
        deliberate act there.
        """
        if faults := self.settings.production_faults():
            raise ConfigurationFault(f"Refused in production: {'; '.join(faults)}.")
        if self.settings.restoring_dir.exists():
            raise ConfigurationFault(
                "A restore into this data folder was not finished: empty it and restore again."
            )
        self.make_folder()
        secret_folder(self.settings.keys_dir)
        if self.settings.environment == "development":
            self.migrate()
        elif current(self.settings.database) != head():
            raise ConfigurationFault("The database is of another release: run migrate.")

    def migrate(self) -> str | None:
        """Create or upgrade every table, ours and the engine's; return our revision."""
        revision = migrate(self.settings.database)
        migrate_engine(self.settings.database)
        return revision

    @cached_property
    def database(self) -> Database:
        """The database, with the pragmas that durability needs."""
        return Database(self.settings.database)

    @cached_property
    def checkpoint_key(self) -> KeyFile:
        """The key that signs the log's heads, or the two while one takes over."""
        return KeyFile.load_or_create(self.settings.keys_dir)

    def existing_checkpoint_key(self) -> KeyFile:
        """The log's key, which must exist: checking a log never makes a key for it."""
        if (self.settings.keys_dir / KEY_FILE).is_file():
            return self.checkpoint_key
        raise ConfigurationFault("There is no audit log in this data folder.")

    @cached_property
    def log(self) -> SqlAuditLog:
        """The audit log."""
        return SqlAuditLog(self.database, self.checkpoint_key, self.clock)

    @cached_property
    def stamps(self) -> StampReader | None:
        """Reads the stamps of the log's authority; None without one from outside."""
        audit, provenance = self.settings.audit, self.settings.provenance
        roots = audit.anchor_roots or (provenance.tsa_url and provenance.tsa_anchors)
        if not roots:
            return None
        try:
            return StampReader(roots.read_text(encoding="ascii"))
        except (OSError, ValueError) as fault:
            raise ConfigurationFault(
                "The root certificates of the log's time-stamp authority cannot be read."
            ) from fault

    @cached_property
    def anchors(self) -> Anchors | None:
        """Has the log stamped by an outside authority; None without one."""
        url = self.settings.audit.anchor_url or self.settings.provenance.tsa_url
        if url is None or self.stamps is None:
            return None
        return Anchors(
            database=self.database,
            log=self.log,
            ask=asking(url),
            reader=self.stamps,
            every=timedelta(hours=self.settings.audit.anchor_hours),
            clock=self.clock,
        )

    @property
    def anchor_chores(self) -> Mapping[str, Chore]:
        """Asked every hour, so that an authority that did not answer is asked again."""
        if self.anchors is None or self.settings.audit.anchor_hours == 0:
            return {}
        return {"anchor": (HOUR, self.anchors.anchor_if_due)}

    @property
    def anchor_sources(self) -> Mapping[str, Source]:
        """What to watch of it. Absent before the first stamp, and where nobody stamps."""
        anchors = self.anchors
        if anchors is None:
            return {}

        def age() -> dict[str, float]:
            newest = anchors.newest()
            if newest is None:
                return {}
            return {"newest_stamp_seconds": (self.clock() - newest.stamp.time).total_seconds()}

        return {"stamps": age}

    @cached_property
    def sequencer(self) -> Sequencer:
        """Moves events into the log."""
        return Sequencer(self.log)

    @cached_property
    def record(self) -> Record:
        """What became of each request."""
        return Record(self.database, self.log, self.clock, self.settings.limits)

    @cached_property
    def keys(self) -> KeyRing:
        """The bearer keys."""
        in_use = self.database.has_any(sa.select(ApiKey.id))
        pepper = self._secret("pepper", in_use=in_use)
        return KeyRing(self.database, self.log, lambda: pepper, self.clock)

    @cached_property
    def people(self) -> People:
        """Who works at the console."""
        in_use = self.database.has_any(sa.select(PersonRow.id))
        pepper = self._secret("people_pepper", in_use=in_use)
        return People(self.database, self.log, lambda: pepper, self.clock)

    @cached_property
    def sessions(self) -> Sessions:
        """Who is signed in at the console."""
        sealed = sa.select(PersonRow.id).where(PersonRow.totp_sealed.is_not(None))
        key = self._secret("people_codes", in_use=self.database.has_any(sealed))
        seal = Seal(base64.urlsafe_b64encode(key))
        return Sessions(self.database, self.log, self.people, seal, self.clock)

    @cached_property
    def report_key(self) -> ReportKey:
        """Signs what a verification found, for whoever wants to show it."""
        provenance = self.settings.provenance
        issuer = {"organisation": provenance.organisation, "url": provenance.detector_url}
        return ReportKey(self._secret("report", in_use=False), issuer)

    def _secret(self, name: str, *, in_use: bool) -> bytes:
        return random_secret(self.settings.keys_dir, name, SECRET_BYTES, in_use=in_use)

    @cached_property
    def names(self) -> NameRegistry:
        """The protected names: shipped and the operator's own."""
        return NameRegistry(
            self.database, lambda: self.log, self.clock, judges.rule_book().names
        )

    @cached_property
    def permissions(self) -> Permissions:
        """Who tenants are, and their records of consent and licence."""
        return Permissions(self.database, self.log, self.clock)

    @cached_property
    def enrolled_faces(self) -> EnrolledFaces:
        """The people who are recognised by their face."""
        return EnrolledFaces(self.database, lambda: self.log, self.clock)

    @cached_property
    def hash_lists(self) -> HashListRegistry:
        """The operator's lists of known pictures."""
        return HashListRegistry(self.database, lambda: self.log, self.clock)
