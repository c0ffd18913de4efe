"""Exhibits: the frames on which a verdict rests, veiled until somebody asks to see them."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.audit.entry import Event, EventKind
from gateway.db import Database
from gateway.errors import NotFound, NotPermitted
from gateway.media.stills import frames_at, shown, veiled
from gateway.people import Person
from gateway.record import AuditOutbox
from gateway.review.docket import Docket, Dossier
from gateway.seams import Codec
from gateway.store import Ref, Vault
from gateway.tables import StageRow
from safety.verdict import Stage

MAX_FLAGGED = 12
OVERVIEW = 6
KEPT_CASES = 4


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """One frame: its index, its second, and whether a judge flagged it."""

    index: int
    seconds: float
    flagged: bool


@dataclass(frozen=True, kw_only=True)
class _Pictures:
    exhibits: tuple[Exhibit, ...]
    shown: Mapping[int, bytes]
    veiled: Mapping[int, bytes]


class Exhibits:
    """Takes frames of held clips out of the vault, for people who may see them.

    A clip that was held for its words has none yet, and one that may show a minor gives none
    to anybody. The frames of the last few cases stay in memory.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditOutbox,
        docket: Docket,
        vault: Vault,
        codec: Codec,
        scratch: Path,
    ) -> None:
        self._database = database
        self._audit = audit
        self._docket = docket
        self._vault = vault
        self._codec = codec
        self._scratch = scratch
        self._kept: OrderedDict[str, _Pictures] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, dossier: Dossier) -> tuple[Exhibit, ...]:
        """The frames to look at, in the order of time; none while there are none.

        Raises StageUnavailable when the clip cannot be read: a case without its frames is
        not a clip without fault.
        """
        case = dossier.case
        if case.stage != Stage.FRAMES or case.restricted or case.outcome is not None:
            return ()
        return self._pictures(dossier).exhibits

    def picture(self, person: Person, case_id: str, index: int, *, reveal: bool) -> bytes:
        """One frame as JPEG. To reveal it is an event in the log, before it is shown.

        Raises NotFound, NotPermitted or StageUnavailable.
        """
        dossier = self._docket.dossier(person, case_id)
        if dossier.case.restricted:
            raise NotPermitted("Nothing of this case is shown to anybody.")
        if dossier.case.stage != Stage.FRAMES or dossier.case.outcome is not None:
            raise NotFound("There is nothing to be seen of this case.")
        pictures = self._pictures(dossier)
        found = (pictures.shown if reveal else pictures.veiled).get(index)
        if found is None:
            raise NotFound("This frame is not among those shown.")
        if reveal:
            self._note_view(person, dossier, index)
        return found

    def _pictures(self, dossier: Dossier) -> _Pictures:
        with self._lock:
            known = self._kept.get(dossier.case.id)
            if known is None:
                known = self._taken(dossier)
                self._kept[dossier.case.id] = known
            self._kept.move_to_end(dossier.case.id)
            while len(self._kept) > KEPT_CASES:
                self._kept.popitem(last=False)
            return known

    def _taken(self, dossier: Dossier) -> _Pictures:
        with self._database.read() as session:
            made = session.get(StageRow, (dossier.case.video_id, "generate"))
        if made is None:
            raise NotFound("The clip of this case was never made.")
        fps = float(made.facts["fps"])
        strongest = sorted(
            dossier.grounds, key=lambda ground: -1.0 if ground.score is None else -ground.score
        )
        flagged = [index for ground in strongest for index in ground.frames]
        flagged = list(dict.fromkeys(flagged))[:MAX_FLAGGED]
        total = round(dossier.seconds * fps)
        spread = [total * step // OVERVIEW for step in range(OVERVIEW)]
        wanted = sorted({*flagged, *spread})
        with self._vault.checkout(
            Ref.from_dict(made.facts["raw"]), scratch=self._scratch
        ) as path:
            frames = frames_at(self._codec.decode(path), frozenset(wanted))
        exhibits = (
            Exhibit(index=index, seconds=index / fps, flagged=index in flagged)
            for index in wanted
            if index in frames
        )
        return _Pictures(
            exhibits=tuple(exhibits),
            shown={index: shown(frame) for index, frame in frames.items()},
            veiled={index: veiled(frame) for index, frame in frames.items()},
        )

    def _note_view(self, person: Person, dossier: Dossier, index: int) -> None:
        case = dossier.case
        event = Event(
            id=f"{case.video_id}:{case.id}.{secrets.token_hex(4)}:{EventKind.CASE_VIEWED}",
            kind=EventKind.CASE_VIEWED,
            subject=case.video_id,
            tenant=case.tenant_id,
            facts={"case": case.id, "person": person.id, "frame": index},
        )
        with self._database.write() as session:
            self._audit.record(session, event)
