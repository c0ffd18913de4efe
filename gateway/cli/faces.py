"""Commands about faces: people who are recognised, so that showing them needs a record."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.common import AsJson, DataDir, opened, out, print_json, tell
from gateway.cli.who import By, operator
from gateway.enrolled_faces import Enrolling, Receipt
from gateway.errors import InvalidRequest
from gateway.media.picture import decode_picture
from safety.face_embedding import FaceEmbedding
from safety.face_enrolment import Enrolment, EnrolmentRefused
from safety.faces import FaceFinder
from safety.verdict import Category

app = typer.Typer(
    help="Enrol people by their face: clips that show them are stopped unless they agreed.",
    no_args_is_help=True,
)
EnrolmentId = Annotated[str, typer.Argument(help="The id, as 'faces list' shows it.")]


class Kind(StrEnum):
    """Who may be enrolled, by the category whose rule a match feeds."""

    PRIVATE_LIKENESS = Category.PRIVATE_LIKENESS.value
    PUBLIC_FIGURE = Category.PUBLIC_FIGURE.value


@app.command()
def enrol(
    context: typer.Context,
    subject: Annotated[str, typer.Argument(help="Their id: small letters, digits, hyphens.")],
    pictures: Annotated[
        list[Path], typer.Argument(help="Pictures of them alone.", exists=True, dir_okay=False)
    ],
    category: Annotated[Kind, typer.Option(help="Whose rule a match feeds.")],
    evidence: Annotated[
        Path,
        typer.Option(
            help="The document in which they asked for it; only its SHA-256 is kept.",
            exists=True,
            dir_okay=False,
        ),
    ],
    reference: Annotated[str, typer.Option(help="Where the document is kept.")],
    by: By = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Enrol a person and print the receipt for them. The pictures are not kept.

    'cinegate records add' then says who may show them, in which project, until when.
    """
    with opened(context, data_dir, as_json=as_json) as gateway:
        enrolment = Enrolment(finder=FaceFinder(), embedding=FaceEmbedding())
        try:
            templates = enrolment.templates([decode_picture(path).pixels for path in pictures])
        except EnrolmentRefused as refused:
            which = "" if refused.picture is None else f" ({pictures[refused.picture].name})"
            raise InvalidRequest(f"{refused}{which}", param="pictures") from refused
        receipt = gateway.enrolled_faces.enrol(
            Enrolling(
                category=Category(category.value),
                subject=subject,
                evidence_sha256=hashlib.sha256(evidence.read_bytes()).hexdigest(),
                evidence_reference=reference,
                enrolled_by=operator(by),
            ),
            templates,
        )
    _show(receipt, as_json=as_json)


@app.command("list")
def list_faces(
    context: typer.Context,
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Show who is recognised now."""
    with opened(context, data_dir, as_json=as_json) as gateway:
        receipts = gateway.enrolled_faces.list()
    if as_json:
        print_json([_as_json(receipt) for receipt in receipts])
        return
    for one in receipts:
        line = f"{one.id}  {one.category:<17} {one.subject:<24} {one.pictures} pictures"
        out.print(f"{line}  since {one.enrolled_at}", markup=False)
    if not receipts:
        out.print("Nobody is enrolled yet: cinegate faces enrol")


@app.command()
def receipt(
    context: typer.Context,
    enrolment: EnrolmentId,
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """Show the receipt of an enrolment, also of one that ended."""
    with opened(context, data_dir, as_json=as_json) as gateway:
        found = gateway.enrolled_faces.receipt(enrolment)
    _show(found, as_json=as_json)


@app.command()
def remove(
    context: typer.Context,
    enrolment: EnrolmentId,
    by: By = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,  # noqa: FBT002 - a command-line flag
) -> None:
    """End an enrolment and erase the templates of the face."""
    with opened(context, data_dir, as_json=as_json) as gateway:
        gateway.enrolled_faces.remove(enrolment, by=operator(by))
    told = {"id": enrolment, "removed": True}
    tell(told, f"{enrolment} is removed, its templates are erased.", as_json=as_json)


def _show(receipt: Receipt, *, as_json: bool) -> None:
    told = _as_json(receipt)
    if as_json:
        print_json(told)
        return
    for name, value in told.items():
        out.print(f"{name:<20} {value if value is not None else '-'}", markup=False)


def _as_json(receipt: Receipt) -> dict[str, Any]:
    return {**asdict(receipt), "receipt_sha256": receipt.digest}
