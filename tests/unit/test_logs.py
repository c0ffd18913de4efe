"""Logs: useful lines that never hold a prompt or a secret."""

from __future__ import annotations

import pytest
import structlog

from gateway.logs import SECRET_FIELDS, configure_logs, trace


def test_a_trace_names_places_and_types_only() -> None:
    def inner(prompt: str) -> None:
        raise ValueError(f"cannot judge {prompt}")

    try:
        try:
            inner("a private prompt")
        except ValueError as fault:
            raise RuntimeError("a private prompt again") from fault
    except RuntimeError as fault:
        text = trace(fault)
    assert "RuntimeError" in text
    assert "ValueError" in text
    assert "test_logs.py" in text
    assert "private" not in text


@pytest.mark.parametrize("json", [False, True])
def test_secret_fields_are_withheld(json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(verbose=True, json=json)
    try:
        fields = dict.fromkeys(SECRET_FIELDS, "do not show")
        structlog.get_logger(part="test").info("thing.happened", **fields)
    finally:
        structlog.reset_defaults()
    line = capsys.readouterr().err
    assert "thing.happened" in line
    assert "do not show" not in line
