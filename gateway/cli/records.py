"""Commands about records: consents and licences that lift a rule for a named subject."""

from __future__ import annotations

import datetime as dt
import hashlib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.app import Gateway
from gateway.auth import LOCAL_TENANT
from gateway.cli.common import (
    AsJson,
    DataDir,
    opened,
    out,
    print_json,
    tell,
)
from gateway.cli.who import By, operator
from gateway.errors import InvalidRequest
from gateway.permissions import Agreement, ConsentRecord
from safety.verdict import Category

app = typer.Typer(
    help="Record consents and licences: who may show whom, in which project, until when.",
    no_args_is_help=True,
)


class Liftable(StrEnum):
    """The categories whose rule a record can lift for one subject."""

    PUBLIC_FIGURE = Category.PUBLIC_FIGURE.value
    PRIVATE_LIKENESS = Category.PRIVATE_LIKENESS.value
    IP_CHARACTER_BRAND = Category.IP_CHARACTER_BRAND.value
    LIVING_ARTIST_STYLE = Category.LIVING_ARTIST_STYLE.value


@app.command()
def add(
    context: typer.Context,
    subject: Annotated[str, typer.Argument(help="An id: see 'names test' and 'faces list'.")],
    category: Annotated[Liftable, typer.Option(help="Whose rule it lifts.")],
    tenant: Annotated[str, typer.Option(help="For whom: name or id of the tenant.")],
    scope: Annotated[str, typer.Option(help="What was agreed, in words.")],
    evidence: Annotated[
        Path, typer.Option(help="The document; only its SHA-256 is kept.", dir_okay=False)
    ],
    reference: Annotated[str, typer.Option(help="Where the document is kept.")],
    project: Annotated[
        str | None, typer.Option(help="Only this project; all if not given.")
    ] = None,
    valid_from: Annotated[
        str | None, typer.Option("--from", help="ISO 8601 with zone, or a date; now.")
    ] = None,
    valid_to: Annotated[
        str | None, typer.Option("--to", help="Not included; until revoked if not given.")
    ] = None,
    by: By = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Record that somebody agreed. It lifts exactly this subject's rule, while it is valid."""
    with opened(context, data_dir, as_json=as_json) as gateway:
        kind = Category(category.value)
        named = gateway.names.in_force().subject(kind, subject) is not None
        if not named and not gateway.enrolled_faces.is_enrolled(kind, subject):
            raise InvalidRequest(
                "Nobody has that id: see 'cinegate names test' and 'cinegate faces list'.",
                param="subject",
            )
        record = gateway.permissions.record(
            Agreement(
                category=kind,
                subject=subject,
                tenant_id=_tenant_id(gateway, tenant),
                project=project,
                scope=scope,
                evidence_sha256=hashlib.sha256(evidence.read_bytes()).hexdigest(),
                evidence_reference=reference,
                valid_from=gateway.clock() if valid_from is None else _time(valid_from),
                valid_to=None if valid_to is None else _time(valid_to),
                recorded_by=operator(by),
            )
        )
        told = _as_json(record, gateway.clock())
    tell(told, f"{record.id} is recorded ({told['state']}).", as_json=as_json)


@app.command("list")
def list_records(
    context: typer.Context,
    tenant: Annotated[str | None, typer.Option(help="Only of this tenant.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Show the records, the oldest first."""
    with opened(context, data_dir, as_json=as_json) as gateway:
        whose = None if tenant is None else _tenant_id(gateway, tenant)
        records = gateway.permissions.list(tenant_id=whose)
        names = {t.id: t.name for t in gateway.permissions.tenants()}
    rows = [_as_json(record, gateway.clock()) for record in records]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        until = row["valid_to"] or "revoked"
        line = (
            f"{row['id']}  {row['state']:<8} {row['category']:<20} {row['subject']:<24}"
            f" {names.get(row['tenant'], row['tenant'])}  {row['project'] or 'every project'}"
            f"  until {until}"
        )
        out.print(line, markup=False)
    if not rows:
        out.print("There are no records yet: cinegate records add")


@app.command()
def show(
    context: typer.Context,
    record_id: Annotated[str, typer.Argument(help="The id, as 'records list' shows it.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Show one record with its evidence."""
    with opened(context, data_dir, as_json=as_json) as gateway:
        record = gateway.permissions.get(record_id)
    told = _as_json(record, gateway.clock())
    if as_json:
        print_json(told)
        return
    for name, value in told.items():
        out.print(f"{name:<20} {value if value is not None else '-'}", markup=False)


@app.command()
def revoke(
    context: typer.Context,
    record_id: Annotated[str, typer.Argument(help="The id, as 'records list' shows it.")],
    by: By = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """End a record at once. A job that still waits is judged without it."""
    with opened(context, data_dir, as_json=as_json) as gateway:
        gateway.permissions.revoke(record_id, by=operator(by))
    tell({"id": record_id, "revoked": True}, f"{record_id} is revoked.", as_json=as_json)


def _tenant_id(gateway: Gateway, name_or_id: str) -> str:
    if name_or_id == LOCAL_TENANT:
        return gateway.keys.local_caller().tenant_id
    return gateway.permissions.tenant(name_or_id).id


def _time(written: str) -> dt.datetime:
    """A time with its zone; a date alone is its first moment in UTC."""
    try:
        moment = dt.datetime.fromisoformat(written)
    except ValueError as fault:
        raise InvalidRequest("That is not a time of ISO 8601.", param="from") from fault
    if moment.tzinfo is None:
        if moment.time() != dt.time():
            raise InvalidRequest("A time needs its zone, for example +01:00.", param="from")
        moment = moment.replace(tzinfo=dt.UTC)
    return moment


def _as_json(record: ConsentRecord, now: dt.datetime) -> dict[str, Any]:
    said = record.agreement
    return {
        "id": record.id,
        "state": record.state(now),
        "category": said.category.value,
        "subject": said.subject,
        "tenant": said.tenant_id,
        "project": said.project,
        "scope": said.scope,
        "evidence_sha256": said.evidence_sha256,
        "evidence_reference": said.evidence_reference,
        "valid_from": said.valid_from.isoformat(),
        "valid_to": None if said.valid_to is None else said.valid_to.isoformat(),
        "recorded_by": said.recorded_by,
        "recorded_at": record.created_at.isoformat(),
        "revoked_at": None if record.revoked_at is None else record.revoked_at.isoformat(),
    }
