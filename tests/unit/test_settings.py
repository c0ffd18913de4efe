"""Settings: what the file may say, and what production must not."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from gateway.errors import ConfigurationFault
from gateway.settings import Settings, load_settings
from gateway.signature import load_signature
from tests.conftest import NOW

EXAMPLE = Path(__file__).parents[2] / "gateway.toml.example"


def fields_of(model: type[BaseModel], prefix: str = "") -> set[str]:
    names: set[str] = set()
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names |= fields_of(kind, f"{prefix}{name}.")
        else:
            names.add(f"{prefix}{name}")
    return names


def test_the_example_names_every_field_and_is_valid(tmp_path: Path) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    lines = [
        line.removeprefix("# ") if line.startswith("# ") and " = " in line else line
        for line in text.splitlines()
    ]
    named = {
        f"{section}.{key}" if isinstance(value, dict) and section != "models" else section
        for section, value in tomllib.loads("\n".join(lines)).items()
        for key in (value if isinstance(value, dict) else [""])
    }
    assert named == fields_of(Settings)
    path = tmp_path / "gateway.toml"
    path.write_text(text, encoding="utf-8")
    assert load_settings(config=path) == Settings()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("colour = 'red'", "colour"),
        ("port = 0", "port"),
        ("[limits]\nmax_prompt_chars = 0", "limits.max_prompt_chars"),
        ("environment = 'staging'", "environment"),
        ("port = [", "TOML"),
    ],
)
def test_a_bad_value_is_named(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "gateway.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationFault, match=told):
        load_settings(data_dir=tmp_path)


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationFault):
        load_settings(config=tmp_path / "absent.toml")


def test_the_environment_moves_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CINEGATE_DATA_DIR", str(tmp_path))
    assert load_settings().data_dir == tmp_path


def test_production_refuses_every_development_default() -> None:
    faults = " ".join(Settings(environment="production").production_faults())
    for told in ("pki", "algorithm", "organisation"):
        assert told in faults
    assert Settings().production_faults() == ()


@pytest.mark.parametrize(
    "missing", ["certificate_chain", "private_key", "trust_anchors", "tsa_anchors", "tsa_url"]
)
def test_a_signature_from_files_needs_all_of_them(tmp_path: Path, missing: str) -> None:
    given: dict[str, Any] = {
        "certificate_chain": tmp_path / "a",
        "private_key": tmp_path / "b",
        "trust_anchors": tmp_path / "c",
        "tsa_anchors": tmp_path / "d",
        "tsa_url": "http://127.0.0.1/tsa",
    }
    del given[missing]
    settings = Settings.model_validate(
        {"data_dir": tmp_path, "provenance": {"pki": "files", **given}}
    )
    with pytest.raises(ConfigurationFault):
        load_signature(settings, lambda: NOW)
