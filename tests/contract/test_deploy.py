"""The files for deployment: what systemd and the Compose specification say of them."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyOptions

from gateway.jobs import DRAIN_SECONDS
from gateway.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "docs" / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
PROGRAM = "/opt/cinegate/bin/cinegate"
MAX_EXPOSURE = 2.5  # systemd-analyze security: 0 is closed, 10 open
SECRETS = ("POSTGRES_PASSWORD", "S3_KEY_ID", "S3_SECRET")
KNOWN_COMMANDS = {"serve", "work", "migrate"}


# --- systemd -------------------------------------------------------------------------------


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units as systemd would find them, their program one that exists."""
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8").replace(PROGRAM, "/bin/true")
        (tmp_path / unit.name.replace("@.", "@1.")).write_text(text, encoding="utf-8")
    return tmp_path


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run(
        [tool, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def settings_of(unit: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in unit.read_text(encoding="utf-8").splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_accepts_every_line(unit: Path, installed: Path) -> None:
    done = analyze("verify", "--man=no", str(installed / unit.name.replace("@.", "@1.")))
    told = [line for line in done.stderr.splitlines() if "cinegate" in line]
    assert (done.returncode, told) == (0, [])


def test_systemd_would_say_what_is_wrong(installed: Path) -> None:
    broken = installed / "cinegate.service"
    broken.write_text(broken.read_text(encoding="utf-8").replace("ProtectHome", "ProtectHouse"))
    done = analyze("verify", "--man=no", str(broken))
    assert "ProtectHouse" in done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_units_are_closed(unit: Path, installed: Path) -> None:
    path = installed / unit.name.replace("@.", "@1.")
    done = analyze("security", "--offline=true", "--no-pager", str(path))
    told = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert told is not None, done.stdout + done.stderr
    assert float(told[1]) <= MAX_EXPOSURE


def test_a_worker_has_the_time_that_it_asks_for() -> None:
    (worker,) = (unit for unit in UNITS if "worker@" in unit.name)
    assert float(settings_of(worker)["TimeoutStopSec"][0]) > DRAIN_SECONDS
    assert settings_of(worker)["KillMode"] == ["mixed"]


def test_the_units_start_commands_that_exist() -> None:
    started = {settings_of(unit)["ExecStart"][0] for unit in UNITS}
    assert started == {f"{PROGRAM} serve --no-worker", f"{PROGRAM} work"}


# --- Compose -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def text() -> str:
    return (DEPLOY / "compose.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def compose(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def test_the_compose_file_follows_the_specification(text: str) -> None:
    read = PyOptions(apply_merge=True).from_yaml(text)
    read.validate()
    misspelt = text.replace("stop_grace_period", "stop_grace_perio")
    with pytest.raises(ValueError, match="stop_grace_perio"):
        PyOptions(apply_merge=True).from_yaml(misspelt)


def test_what_it_refers_to_is_there(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        assert set(service.get("depends_on", ())) <= set(services), name
        assert set(service["networks"]) <= set(compose["networks"]), name
        for volume in service.get("volumes", ()):
            assert volume.split(":")[0] in compose["volumes"], name
        for config in service.get("configs", ()):
            assert config["source"] in compose["configs"], name
        build = service.get("build")
        if build is not None:
            context = (DEPLOY / build["context"]).resolve()
            assert context == ROOT
            assert (context / build["dockerfile"]).is_file()
            assert service["command"][0] in KNOWN_COMMANDS


def test_every_image_has_a_version(compose: dict[str, Any]) -> None:
    images = [service["image"] for service in compose["services"].values()]
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    images += re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    assert len(images) == 8
    assert [
        name for name in images if not re.fullmatch(r"\S+:\d+\.\d+\.?\d*(-[\w-]+)?", name)
    ] == []


def test_no_secret_has_a_default_and_every_one_is_demanded(text: str) -> None:
    asked = re.findall(r"(?<!\$)\$\{([^}]+)\}", text)
    assert {name.removesuffix(":?") for name in asked} == set(SECRETS)
    assert [name for name in asked if not name.endswith(":?")] == []


def test_only_the_gateway_is_reached_from_outside(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert {name for name, service in services.items() if "ports" in service} == {"app"}
    assert {n for n, s in services.items() if "outside" in s["networks"]} == {"app"}
    assert compose["networks"]["inside"]["internal"] is True
    (port,) = services["app"]["ports"]
    assert port == f"127.0.0.1:{Settings().port}:{Settings().port}"


def test_its_settings_are_settings_of_ours(compose: dict[str, Any]) -> None:
    content = compose["configs"]["gateway"]["content"].replace("${POSTGRES_PASSWORD:?}", "abc")
    settings = Settings.model_validate(tomllib.loads(content))
    storage = settings.storage
    made = " ".join(compose["services"]["buckets"]["command"])
    assert {storage.vault_bucket, storage.released_bucket} <= set(
        made.replace(";", " ").split()
    )
    assert storage.endpoint is not None
    assert storage.endpoint.removeprefix("http://").split(":")[0] in compose["services"]
    host = settings.database.split("@")[1].split(":")[0]
    assert host in compose["services"]


def test_a_worker_in_a_container_has_the_time_that_it_asks_for(compose: dict[str, Any]) -> None:
    given = compose["services"]["worker"]["stop_grace_period"]
    assert float(given.removesuffix("s")) > DRAIN_SECONDS


def test_the_image_is_built_from_what_is_there() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    assert [source for source in copied if not (ROOT / source).exists()] == []
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    assert set(copied) == allowed
    assert ignored[0] == "*"
    assert re.search(r"^USER cinegate$", dockerfile, re.MULTILINE)
