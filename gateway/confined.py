"""Credentials of untrusted files, read in a confined process."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.errors import StageUnavailable
from gateway.media.limits import GIB, ProcessLimits
from gateway.media.sandbox import run_limited
from gateway.provenance.credentials import Credentials
from gateway.settings import Settings
from gateway.signature import Signature, own_organisation

TRUST_LISTS = Path(__file__).resolve().parent / "provenance" / "trust_lists"

# The reading library keeps a pool of threads, whose stacks count as address space.
LIMITS = ProcessLimits(memory_bytes=4 * GIB, cpu_seconds=30, wall_seconds=45.0, threads=True)


class ConfinedCredentials:
    """Reads credentials as ``CredentialReader`` does, but in a process that may break.

    The anchors are certificates in PEM, as for ``CredentialReader``; each reading hands them
    over in a folder of its own below ``scratch``. ``trust_list`` and ``tsa_trust_list`` are
    files: the signers and time-stamp authorities of others that are recognised.
    """

    def __init__(
        self,
        *,
        anchors_pem: str,
        tsa_anchors_pem: str,
        scratch: Path,
        organisation: str | None = None,
        trust_list: Path | None = None,
        tsa_trust_list: Path | None = None,
    ) -> None:
        self._anchors_pem = anchors_pem
        self._tsa_anchors_pem = tsa_anchors_pem
        self._scratch = scratch
        self._organisation = organisation
        self._trust_list = trust_list and trust_list.resolve()
        self._tsa_trust_list = tsa_trust_list and tsa_trust_list.resolve()

    def read(self, source: Path, *, mime: str = "video/mp4") -> Credentials:
        """What the file carries; ``mime`` is its media type, which decides how it is read.

        Raises Unreadable when a limit was hit and StageUnavailable when the process failed:
        in both cases nothing is known about the file.
        """
        from gateway.provenance.read_child import arguments, parse_answer

        self._scratch.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self._scratch) as name:
            anchors, tsa_anchors = (Path(name).resolve() / part for part in ("ours", "stamps"))
            anchors.write_text(self._anchors_pem, encoding="ascii")
            tsa_anchors.write_text(self._tsa_anchors_pem, encoding="ascii")
            command = arguments(
                source.resolve(),
                anchors=anchors,
                tsa_anchors=tsa_anchors,
                organisation=self._organisation,
                foreign_anchors=self._trust_list,
                foreign_tsa_anchors=self._tsa_trust_list,
                mime=mime,
            )
            done = run_limited([sys.executable, "-I", "-B", *command], limits=LIMITS)
        if done.returncode == 0:
            return parse_answer(done.stdout)
        raise StageUnavailable("The credentials could not be read.")


def foreign_credentials(signature: Signature, settings: Settings) -> ConfinedCredentials:
    """The reader for files from outside: knows our own signature and the public trust lists."""
    return ConfinedCredentials(
        anchors_pem=signature.anchors_pem,
        tsa_anchors_pem=signature.tsa_anchors_pem,
        scratch=settings.work_dir,
        organisation=own_organisation(settings),
        trust_list=TRUST_LISTS / "c2pa-signers.pem",
        tsa_trust_list=TRUST_LISTS / "c2pa-time-stamps.pem",
    )
