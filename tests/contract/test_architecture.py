"""The architecture: rules that reviews forget and that a program does not."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import errors
from gateway.audit.entry import EventKind
from gateway.findings import Finding
from gateway.pipeline import STAGES

ROOT = Path(__file__).parents[2]
PACKAGES = ("gateway", "generator", "safety", "watermark")
MAX_LINES = 400
EVIDENCE = {
    "ApprovedRequest",
    "RawClip",
    "ClearedClip",
    "MarkedClip",
    "SignedClip",
    "Release",
}


def modules() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def test_every_module_says_what_lives_there_and_is_short() -> None:
    faults = []
    for path in modules():
        text = path.read_text(encoding="utf-8")
        if not ast.get_docstring(ast.parse(text)):
            faults.append(f"{name_of(path)}: no docstring")
        if len(text.splitlines()) > MAX_LINES:
            faults.append(f"{name_of(path)}: over {MAX_LINES} lines")
    assert faults == []


def test_only_the_pipeline_builds_evidence() -> None:
    builders = set()
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = node.func
                name = getattr(called, "id", None) or getattr(called, "attr", None)
                if name in EVIDENCE:
                    builders.add(name_of(path))
    assert builders == {"gateway/pipeline.py"}


@pytest.mark.parametrize(
    ("library", "homes"),
    [
        ("dbos", {"gateway/jobs.py"}),
        ("av", {"gateway/media/"}),
        ("c2pa", {"gateway/provenance/"}),
        ("obstore", {"gateway/store.py", "gateway/buckets.py"}),
        ("sqlalchemy", {"gateway/"}),
        ("fastapi", {"gateway/api/", "gateway/web/", "gateway/server.py"}),
        ("diffusers", {"generator/"}),
        ("onnxruntime", {"safety/"}),
    ],
)
def test_a_library_stays_in_its_room(library: str, homes: set[str]) -> None:
    strays = {
        name_of(path)
        for path in modules()
        if library in imported(path) and not name_of(path).startswith(tuple(homes))
    }
    assert strays == set()


def test_the_download_code_has_no_handle_to_the_vault() -> None:
    for path in modules():
        name = name_of(path)
        if name.startswith(("gateway/api/", "gateway/web/")) or name == "gateway/clips.py":
            text = path.read_text(encoding="utf-8")
            assert "vault" not in text.lower(), name


def test_the_migrations_do_not_hide_their_library() -> None:
    assert not (ROOT / "alembic" / "__init__.py").exists()


def test_nobody_else_installs_packages_of_our_names() -> None:
    owners = importlib.metadata.packages_distributions()
    for package in PACKAGES:
        assert set(owners.get(package, ["cinegate"])) == {"cinegate"}


def test_templates_hold_no_inline_code() -> None:
    for path in (ROOT / "gateway" / "web" / "templates").glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"<script|<style|\sstyle=|\son[a-z]+=|\|\s*safe", text), path.name


def all_errors(root: type[errors.Error] = errors.Error) -> Iterator[type[errors.Error]]:
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from all_errors(child)


def test_every_error_has_a_code_of_its_own_and_is_documented() -> None:
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    codes = [cls.code for cls in all_errors()]
    assert len(codes) == len(set(codes))
    for cls in all_errors():
        assert f"| {cls.status} | `{cls.code}` |" in text, cls.__name__


@pytest.mark.parametrize("cls", list(all_errors()), ids=lambda cls: cls.__name__)
def test_every_error_has_the_one_shape(cls: type[errors.Error]) -> None:
    envelope = cls("A sentence.").envelope()
    assert list(envelope) == ["error"]
    body = envelope["error"]
    assert isinstance(body, dict)
    assert {"message", "type", "param", "code"} <= set(body)
    assert 400 <= cls.status < 600


def test_every_event_finding_and_stage_is_documented() -> None:
    audit = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
    verify = (ROOT / "docs" / "verify.md").read_text(encoding="utf-8")
    path = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert [kind for kind in EventKind if f"`{kind}`" not in audit] == []
    assert [finding for finding in Finding if f"`{finding}`" not in verify] == []
    assert [stage for stage in STAGES if stage not in path] == []


def test_every_test_that_the_compliance_page_names_is_there() -> None:
    page = (ROOT / "docs" / "compliance.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", page))
    assert len(named) > 15
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    assert sorted(name for name in named if f"def {name}(" not in tests) == []


def test_every_dependency_and_weights_file_is_in_the_licence_list() -> None:
    text = (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8").lower()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = [re.split(r"[<>=\[]", entry)[0].lower() for entry in wanted]
    assert [name for name in names if f"| {name} |" not in text] == []
    weights = [
        path.name
        for package in PACKAGES
        for pattern in ("*.onnx", "*.safetensors", "*.npz")
        for path in (ROOT / package / "weights").rglob(pattern)
    ]
    assert weights
    assert [name for name in weights if name.lower() not in text] == []


def test_every_dependency_is_pinned() -> None:
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").lower()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = [re.split(r"[<>=\[]", entry)[0].lower() for entry in wanted]
    assert [name for name in names if f"\n{name}==" not in f"\n{pinned}"] == []


def test_no_file_names_the_folder_it_happens_to_lie_in() -> None:
    suffixes = {".py", ".md", ".toml", ".txt", ".html", ".css", ".yml", ".ini"}
    faults = [
        name_of(path)
        for folder in (*PACKAGES, "docs", "tests", "alembic")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in suffixes
        and f"{ROOT}/" in path.read_text(encoding="utf-8", errors="ignore")
    ]
    assert faults == []
