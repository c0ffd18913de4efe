"""Reading credentials from a file, with an explicit trust list and no network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import c2pa
from cryptography import x509

from gateway.errors import ConfigurationFault, StageUnavailable
from gateway.provenance.boxes import too_many_boxes
from gateway.provenance.credentials import Credentials
from gateway.provenance.trust import CLAIM_LIST, context_settings

__all__ = ["CredentialReader", "Credentials"]

MAX_TEXT_CHARS = 300
MAX_ITEMS = 32
MAX_ASSERTIONS = 256
_BOXED = frozenset({"video/mp4", "video/quicktime", "audio/mp4", "image/heif", "image/avif"})
_STATES = {"Trusted", "Valid", "Invalid"}
_UNTRUSTED = "signingCredential.untrusted"
_STAMP_TRUSTED = "timeStamp.trusted"


class CredentialReader:
    """Reads C2PA manifests and says whether this service signed them.

    ``anchors_pem`` are the roots of our own signing certificates, ``tsa_anchors_pem`` those of
    the time-stamp authorities. Where our root signs for others too (a public authority), give
    ``organisation``: the ``O`` that our certificates carry. ``foreign_anchors_pem`` and
    ``foreign_tsa_anchors_pem`` are lists of others, such as the C2PA trust list: their files
    become ``trusted`` and never ours. Nothing is fetched: no remote manifest, no revocation.

    A file is ours only when all of this holds:

    1. the library reports ``Trusted``: hashes, claim signature and chain hold, at the time of
       a trusted stamp or, without one, now;
    2. the chain leads to one of our claim anchors, not to a time-stamp anchor;
    3. the signing certificate names our organisation, if one was given.
    """

    def __init__(
        self,
        *,
        anchors_pem: str,
        tsa_anchors_pem: str,
        organisation: str | None = None,
        foreign_anchors_pem: str = "",
        foreign_tsa_anchors_pem: str = "",
    ) -> None:
        for text in (
            anchors_pem,
            tsa_anchors_pem,
            foreign_anchors_pem,
            foreign_tsa_anchors_pem,
        ):
            _check_pem(text)
        if not anchors_pem.strip():
            raise ConfigurationFault("Without trust anchors no clip could be told as ours.")
        self._organisation = organisation
        stamps = "\n".join((tsa_anchors_pem, foreign_tsa_anchors_pem))
        self._ours = context_settings(claim_anchors=anchors_pem, stamp_anchors=stamps)
        self._foreign = (
            context_settings(claim_anchors=foreign_anchors_pem, stamp_anchors=stamps)
            if foreign_anchors_pem.strip()
            else None
        )

    def read(self, source: Path | BinaryIO, *, mime: str = "video/mp4") -> Credentials:
        """Read the active manifest of a file or a seekable stream.

        Never raises for what the file holds: a file that cannot be checked is ``unreadable``.
        It reads foreign bytes with native code: run it in a limited process (``read_child``).
        """
        with _opened(source) as stream:
            if mime in _BOXED and too_many_boxes(stream):
                return _unreadable("container.boxes")
            stream.seek(0)
            found = _report(stream, mime=mime, settings=self._ours)
            if isinstance(found, Credentials):
                return found
            if _vouched(found):
                named = self._organisation in (None, _signature(found).get("issuer"))
                return _credentials(found, state="Trusted", ours=named)
            if self._foreign is not None and found["validation_state"] != "Invalid":
                stream.seek(0)
                again = _report(stream, mime=mime, settings=self._foreign)
                if not isinstance(again, Credentials) and _vouched(again):
                    return _credentials(again, state="Trusted", ours=False)
            return _credentials(found, state=found["validation_state"], ours=False)


@contextmanager
def _opened(source: Path | BinaryIO) -> Iterator[BinaryIO]:
    if not isinstance(source, Path):
        yield source
        return
    try:
        stream = source.open("rb")
    except OSError as fault:
        raise StageUnavailable("The file to be read is not there.") from fault
    with stream:
        yield stream


def _report(stream: BinaryIO, *, mime: str, settings: str) -> dict[str, Any] | Credentials:
    """Give the library's report, or the credentials when there is none to give."""
    try:
        with c2pa.Context.from_json(settings) as context:
            try:
                with c2pa.Reader(mime, stream, context=context) as reader:
                    report = json.loads(reader.json())
            except c2pa.C2paError.ManifestNotFound:
                return Credentials(state="absent")
            except c2pa.C2paError.RemoteManifest:
                return _unreadable("manifest.remote")
    except c2pa.C2paError as fault:
        return _unreadable("manifest.remote" if "remote" in str(fault)[:20].lower() else None)
    except (ValueError, RecursionError, MemoryError):
        return _unreadable(None)
    if not isinstance(report, dict) or report.get("validation_state") not in _STATES:
        return _unreadable(None)
    return report


def _unreadable(code: str | None) -> Credentials:
    return Credentials(state="unreadable", failures=(code or "manifest.unreadable",))


def _vouched(report: Mapping[str, Any]) -> bool:
    results = _mapping(report.get("validation_results"))
    return report["validation_state"] == "Trusted" and results.get("trustListUri") == CLAIM_LIST


def _credentials(report: Mapping[str, Any], *, state: str, ours: bool) -> Credentials:
    name = report.get("active_manifest")
    active = _mapping(_mapping(report.get("manifests")).get(name))
    results = _mapping(report.get("validation_results"))
    codes = _codes(_mapping(results.get("activeManifest")).get("failure"))
    for delta in _list(results.get("ingredientDeltas")):
        deltas = _mapping(_mapping(delta).get("validationDeltas"))
        codes += [f"ingredient:{code}" for code in _codes(deltas.get("failure"))]
    vouched = _vouched(report)
    if state == "Trusted" and not vouched:
        # The chain leads only to a time-stamp root: cryptography holds, nobody vouches.
        state, codes = "Valid", [*codes, _UNTRUSTED]
    signature = _signature(report)
    actions = [
        _mapping(action)
        for assertion in _assertions(active)
        if str(assertion.get("label")).split("__")[0] in {"c2pa.actions", "c2pa.actions.v2"}
        for action in _list(_mapping(assertion.get("data")).get("actions"))
    ]
    return Credentials(
        state={"Trusted": "trusted", "Valid": "valid"}.get(state, "invalid"),  # type: ignore[arg-type]
        ours=ours and vouched,
        signer=_clean(signature.get("common_name")),
        issuer=_clean(signature.get("issuer")),
        generator=_generator(active),
        signed_at=_stamped_at(results, signature),
        digital_source_types=_unique(action.get("digitalSourceType") for action in actions),
        soft_bindings=tuple(_soft_bindings(active))[:MAX_ITEMS],
        manifest_id=_clean(name),
        failures=_unique(codes),
        actions=_unique((action.get("action") for action in actions), repeats=True),
    )


def _soft_bindings(active: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for assertion in _assertions(active):
        if str(assertion.get("label")).split("__")[0] != "c2pa.soft-binding":
            continue
        data = _mapping(assertion.get("data"))
        algorithm = _clean(data.get("alg"))
        for block in _list(data.get("blocks")):
            value = _clean(_mapping(block).get("value"))
            if algorithm is not None and value is not None:
                yield algorithm, value


def _stamped_at(results: Mapping[str, Any], signature: Mapping[str, Any]) -> datetime | None:
    success = _codes(_mapping(results.get("activeManifest")).get("success"))
    when = signature.get("time")
    if _STAMP_TRUSTED not in success or not isinstance(when, str):
        return None
    try:
        moment = datetime.fromisoformat(when)
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo is not None else None


def _generator(active: Mapping[str, Any]) -> str | None:
    for info in _list(active.get("claim_generator_info")):
        name, version = (_clean(_mapping(info).get(key)) for key in ("name", "version"))
        if name is not None:
            return f"{name} {version}" if version is not None else name
    return _clean(active.get("claim_generator"))


def _signature(report: Mapping[str, Any]) -> Mapping[str, Any]:
    manifests = _mapping(report.get("manifests"))
    return _mapping(
        _mapping(manifests.get(report.get("active_manifest"))).get("signature_info")
    )


def _assertions(active: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for assertion in _list(active.get("assertions"))[:MAX_ASSERTIONS]:
        yield _mapping(assertion)


def _codes(statuses: object) -> list[str]:
    return [str(_mapping(status).get("code")) for status in _list(statuses)]


def _unique(values: Any, *, repeats: bool = False) -> tuple[str, ...]:
    texts = [text for value in values if (text := _clean(value)) is not None]
    return tuple(texts if repeats else dict.fromkeys(texts))[:MAX_ITEMS]


def _clean(value: object) -> str | None:
    """Give a text without control or direction characters, cut to 300 characters."""
    if not isinstance(value, str):
        return None
    text = "".join(c if c.isprintable() else " " for c in value[: 4 * MAX_TEXT_CHARS])
    return " ".join(text.split())[:MAX_TEXT_CHARS] or None


def _mapping(value: object) -> Mapping[Any, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _check_pem(text: str) -> None:
    if not text.strip():
        return
    try:
        x509.load_pem_x509_certificates(text.encode("utf-8"))
    except ValueError as fault:
        raise ConfigurationFault("A trust list cannot be read as PEM certificates.") from fault
