"""The body of a request, JSON or a form, read strictly into a model."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile

from gateway.errors import InvalidRequest

MAX_FORM_FIELDS = 32
REFERENCE = "input_reference"
TEXT_ONLY = "The models here make clips from text only: they take no reference image."

Body = TypeVar("Body", bound=BaseModel)


async def read_body(request: Request, model: type[Body]) -> Body:
    """The fields of a JSON or form body. Raises InvalidRequest in every other case."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    raw = await request.body()
    fields: Any
    if kind == "application/json":
        try:
            fields = json.loads(raw.decode("utf-8"))
        except (UnicodeDecodeError, ValueError, RecursionError) as fault:
            raise InvalidRequest("The body is not JSON in UTF-8.") from fault
    elif kind == "multipart/form-data":
        fields = await _read_form(request, raw)
    else:
        raise InvalidRequest("Send application/json or multipart/form-data.")
    if not isinstance(fields, dict):
        raise InvalidRequest("The body must be an object.")
    try:
        return model.model_validate(fields)
    except ValidationError as fault:
        first = fault.errors()[0]
        param = str(first["loc"][0]) if first["loc"] else None
        if first["type"] == "extra_forbidden" and param == REFERENCE:
            raise InvalidRequest(TEXT_ONLY, param=param) from None
        if first["type"] == "extra_forbidden":
            raise InvalidRequest("This gateway does not know the field.", param=param) from None
        raise InvalidRequest(f"{first['msg'].rstrip('.')}.", param=param) from None


async def _read_form(request: Request, raw: bytes) -> dict[str, str]:
    fields: dict[str, str] = {}
    async with request.form(max_fields=MAX_FORM_FIELDS, max_files=4) as form:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                told = TEXT_ONLY if name == REFERENCE else "This field takes no file."
                raise InvalidRequest(told, param=name)
            if name in fields:
                raise InvalidRequest("A field was sent twice.", param=name)
            fields[name] = value
    try:
        # The form parser falls back to Latin-1; a prompt must not change its meaning.
        raw.decode("utf-8")
    except UnicodeDecodeError as fault:
        raise InvalidRequest("The form is not text in UTF-8.", param="prompt") from fault
    if not raw.rstrip().endswith(b"--"):
        raise InvalidRequest("The form was cut off before its end.")
    return fields
