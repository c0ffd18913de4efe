"""Settings: one frozen object read from ``gateway.toml`` and a few environment variables."""

from __future__ import annotations

import os
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from gateway.errors import ConfigurationFault
from safety.adapters.picture_settings import PictureModelSettings

CONFIG_NAME = "gateway.toml"
LEARNED_LABEL: Final = "videoseal"
DEFAULT_ALGORITHM = "org.example.cinegate.wm.1"
DEFAULT_ALGORITHMS = {
    "spread": DEFAULT_ALGORITHM,
    "videoseal": f"org.example.cinegate.{LEARNED_LABEL}.1",
}
MAX_PROMPT_CHARS = 4_000
MAX_UPLOAD_BYTES = 256 * 1024 * 1024
BUCKET = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"
# Scheme, host and port only: whoever writes a key into the address would find it in messages.
ENDPOINT = r"^https?://(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?/?$"
LOOPBACK = ("http://127.", "http://localhost", "http://[::1]")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Limits(_Section):
    """Bounds that an operator may tighten or widen."""

    max_prompt_chars: int = Field(default=MAX_PROMPT_CHARS, ge=1, le=20_000)
    max_upload_bytes: int = Field(default=MAX_UPLOAD_BYTES, ge=1_000, le=4 * 1024**3)
    max_queued_per_tenant: int = Field(default=50, ge=1, le=10_000)
    max_body_bytes: int = Field(default=1024 * 1024, ge=10_000, le=64 * 1024 * 1024)
    requests_per_minute: float = Field(default=60, gt=0, le=60_000)
    request_burst: int = Field(default=30, ge=1, le=10_000)
    tenant_share: int = Field(default=3, ge=1, le=1_000)
    clip_seconds_per_day: int = Field(default=7_200, ge=1, le=10_000_000)
    queue_shares: dict[str, Annotated[int, Field(ge=1, le=60)]] = {
        "public": 1,
        "studio": 3,
        "internal": 3,
    }
    public_per_minute: float = Field(default=60, gt=0, le=60_000)
    public_burst: int = Field(default=30, ge=1, le=10_000)
    idempotency_hours: int = Field(default=24, ge=1, le=720)
    dedupe_window_seconds: int = Field(default=10, ge=0, le=600)
    sequence_window_minutes: int = Field(default=60, ge=0, le=1440)
    sequence_window_requests: int = Field(default=20, ge=0, le=20)


class Retention(_Section):
    """How long things are kept after their end; 0 days: for ever."""

    failed_hours: int = Field(default=24, ge=0, le=24 * 365)
    released_days: int = Field(default=0, ge=0, le=36_500)
    prompt_days: int = Field(default=0, ge=0, le=36_500)

    @property
    def failed(self) -> timedelta:
        """How long the raw media of a failed clip waits for somebody to try it again."""
        return timedelta(hours=self.failed_hours)


class Encoding(_Section):
    """How a released clip is encoded (x264)."""

    crf: int = Field(default=17, ge=0, le=28)
    preset: str = "medium"
    keyframe_seconds: float = Field(default=1.0, gt=0, le=10)


class Provenance(_Section):
    """Who signs. ``pki`` = "development" makes a local certificate authority on first run."""

    organisation: str = "Example Studio"
    product: str = "Cinegate"
    pki: Literal["development", "files"] = "development"
    certificate_chain: Path | None = None
    private_key: Path | None = None
    trust_anchors: Path | None = None
    tsa_anchors: Path | None = None
    tsa_url: str | None = None
    detector_url: str = "http://127.0.0.1:8400/verify"


class Audit(_Section):
    """How the log is anchored: who stamps its newest head, and every how many hours; 0: never.

    Without an address here, the authority that stamps the clips does it, if there is one.
    """

    anchor_hours: int = Field(default=24, ge=0, le=24 * 31)
    anchor_url: str | None = Field(default=None, pattern=r"^https?://[^\s]{1,1000}$")
    anchor_roots: Path | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.anchor_url is None) != (self.anchor_roots is None):
            raise PydanticCustomError(
                "anchor_without_roots",
                "anchor_url and anchor_roots belong together: who stamps, and its root "
                "certificates",
            )
        return self


class Watermark(_Section):
    """The mark in the pixels: which engine writes it, under which C2PA soft-binding name.

    A name stands in manifests for ever, so no two engines may share one: the label
    "videoseal" stands in the names of marks of that engine, and in no others.
    """

    engine: Literal["spread", "videoseal"] = "spread"
    algorithm: str = DEFAULT_ALGORITHM
    weights: Path | None = None
    weights_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    bits: int = Field(default=256, ge=96, le=4096)

    @model_validator(mode="before")
    @classmethod
    def _name_of_the_engine(cls, given: Any) -> Any:
        if isinstance(given, dict) and "algorithm" not in given:
            engine = given.get("engine", "spread")
            if isinstance(engine, str) and engine in DEFAULT_ALGORITHMS:
                return {**given, "algorithm": DEFAULT_ALGORITHMS[engine]}
        return given

    @model_validator(mode="after")
    def _one_engine(self) -> Self:
        learned = self.engine == "videoseal"
        if (LEARNED_LABEL in self.algorithm.split(".")) != learned:
            raise PydanticCustomError(
                "algorithm_of_another_engine",
                "algorithm is the name of another engine's marks: a name with the part "
                "'videoseal' (as in com.example.videoseal.1) belongs to that engine alone",
            )
        own = {"weights", "weights_sha256", "bits"} & self.model_fields_set
        if not learned and own:
            raise PydanticCustomError(
                "weights_without_engine",
                "weights, weights_sha256 and bits belong to engine = 'videoseal': choose "
                "that engine or remove them",
            )
        if learned and (self.weights is None or self.weights_sha256 is None):
            raise PydanticCustomError(
                "weights_not_named",
                "engine = 'videoseal' needs weights (the TorchScript file, which you install "
                "yourself) and weights_sha256 (what sha256sum prints for it)",
            )
        return self


class GuardFolder(_Section):
    """A guard of others, run here from a folder with a card.toml (docs/moderators.md)."""

    kind: Literal["transformers"]
    path: Path
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    batch: int = Field(default=4, ge=1, le=256)


class ModerationsEndpoint(_Section):
    """An OpenAI-compatible moderations service. Every prompt is sent to it.

    ``labels`` and ``benign`` change the built-in map of its thirteen categories.
    """

    kind: Literal["moderations_service"]
    url: str = Field(min_length=1, max_length=2000)
    model: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$")
    key_file: Path | None = None
    key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    timeout_seconds: float = Field(default=10.0, gt=0, le=120)
    plain_http: bool = False
    labels: dict[str, dict[str, Any]] = Field(default_factory=dict)
    benign: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if self.key_file is not None and self.key_env is not None:
            raise PydanticCustomError("two_keys", "give key_file or key_env, not both")
        return self


Moderator = Annotated[GuardFolder | ModerationsEndpoint, Field(discriminator="kind")]


class FrameJudges(_Section):
    """Which of our judges look at frames; ``logos`` is a folder with a SUBJECT.png for each."""

    faces: bool = True
    text: bool = True
    symbols: bool = True
    logos: Path | None = None


class Storage(_Section):
    """Where media lies: in the data folder, or in two buckets of an S3-compatible service."""

    kind: Literal["folder", "s3"] = "folder"
    vault_bucket: str | None = Field(default=None, pattern=BUCKET)
    released_bucket: str | None = Field(default=None, pattern=BUCKET)
    prefix: str = Field(default="", max_length=200, pattern=r"^([a-z0-9_-]+(/[a-z0-9_-]+)*)?$")
    endpoint: str | None = Field(default=None, pattern=ENDPOINT)
    region: str = Field(default="us-east-1", pattern=r"^[a-z0-9-]{1,40}$")
    credentials: Path | None = None
    plain_http: bool = False
    copies_bytes: int = Field(default=10 * 1024**3, ge=0)

    @model_validator(mode="after")
    def _two_buckets(self) -> Self:
        buckets = {self.vault_bucket, self.released_bucket}
        if self.kind == "folder" and self.model_fields_set - {"kind", "copies_bytes"}:
            raise PydanticCustomError(
                "bucket_without_kind", "these belong to kind = 's3': choose it or remove them"
            )
        if self.kind == "s3" and (None in buckets or len(buckets) < 2):
            raise PydanticCustomError(
                "one_bucket",
                "kind = 's3' needs vault_bucket and released_bucket, two different ones: what "
                "nobody may fetch does not lie beside what is fetched",
            )
        if (self.endpoint or "").startswith("http://") and not self.plain_http:
            raise PydanticCustomError(
                "plain_http", "the endpoint has no TLS: use https, or set plain_http = true"
            )
        return self


class SoftBindingApi(_Section):
    """What anybody may ask below ``/c2pa/v1``. ``by_reference``: to fetch a file for them."""

    by_reference: bool = False


class Metrics(_Section):
    """Where Prometheus may ask, never where clients do; port 0: nowhere."""

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)


class TraceExport(_Section):
    """Where traces go: an OTLP/HTTP address of a collector of yours. Without one, nowhere."""

    endpoint: str | None = Field(default=None, pattern=r"^https?://[^\s]{1,1000}$")


class Settings(_Section):
    """Everything the composition root needs to know.

    All state lives below ``data_dir``. Values come from ``gateway.toml`` (in the data folder,
    or the file that ``CINEGATE_CONFIG`` names); ``CINEGATE_DATA_DIR`` moves the folder.
    """

    environment: Literal["development", "production"] = "development"
    data_dir: Path = Path("var/cinegate")
    database_url: str | None = None
    host: str = "127.0.0.1"
    port: int = Field(default=8400, ge=1, le=65535)
    model: str = "embedded"
    models: dict[str, Path] = Field(default_factory=dict)
    policy: Path | None = None
    shadow_policy: Path | None = None
    lease_seconds: float = Field(default=15.0, ge=1, le=600)
    moderators: tuple[Moderator, ...] = ()
    frames: FrameJudges = FrameJudges()
    picture_models: tuple[PictureModelSettings, ...] = ()
    limits: Limits = Limits()
    retention: Retention = Retention()
    encoding: Encoding = Encoding()
    provenance: Provenance = Provenance()
    audit: Audit = Audit()
    watermark: Watermark = Watermark()
    storage: Storage = Storage()
    soft_binding: SoftBindingApi = SoftBindingApi()
    metrics: Metrics = Metrics()
    tracing: TraceExport = TraceExport()

    @property
    def database(self) -> str:
        """The SQLAlchemy URL: SQLite in the data folder unless one is set."""
        return self.database_url or f"sqlite:///{self.data_dir / 'cinegate.db'}"

    @property
    def vault_dir(self) -> Path:
        """Raw and intermediate media; never served."""
        return self.data_dir / "vault"

    @property
    def released_dir(self) -> Path:
        """Marked, signed and verified clips."""
        return self.data_dir / "released"

    @property
    def copies_dir(self) -> Path:
        """Checked copies of released objects that lie in a bucket, to be served from."""
        return self.data_dir / "copies"

    @property
    def restoring_dir(self) -> Path:
        """Where a restore puts files first; while it is there the instance is not whole."""
        return self.data_dir / ".restoring"

    @property
    def keys_dir(self) -> Path:
        """Secrets, mode 0700; files inside 0600."""
        return self.data_dir / "keys"

    @property
    def work_dir(self) -> Path:
        """Scratch space of the workers, emptied on start."""
        return self.data_dir / "work"

    def production_faults(self) -> tuple[str, ...]:
        """Why these settings must not run in production; empty when they may."""
        if self.environment != "production":
            return ()
        faults = []
        if self.provenance.pki == "development":
            faults.append("provenance.pki is 'development': install a real certificate chain")
        if self.watermark.algorithm.startswith("org.example"):
            faults.append("watermark.algorithm is below org.example: use a domain you own")
        if self.provenance.organisation == "Example Studio":
            faults.append("provenance.organisation is the example name")
        if self.storage.plain_http and not (self.storage.endpoint or "").startswith(LOOPBACK):
            faults.append("storage.plain_http sends media over a network without TLS")
        return tuple(faults)


def load_settings(*, data_dir: Path | None = None, config: Path | None = None) -> Settings:
    """Read the settings. Arguments win over the environment, the environment over the file.

    Raises ConfigurationFault with the field and the reason when a value is not acceptable.
    """
    folder = data_dir or (Path(v) if (v := os.environ.get("CINEGATE_DATA_DIR")) else None)
    named = config or (Path(v) if (v := os.environ.get("CINEGATE_CONFIG")) else None)
    path = named or (folder or Settings().data_dir) / CONFIG_NAME
    values: dict[str, object] = {}
    if path.is_file():
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
            raise ConfigurationFault(f"{CONFIG_NAME} is not valid TOML: {fault}.") from fault
    elif named is not None:
        raise ConfigurationFault("The configuration file that was named does not exist.")
    if folder is not None:
        values["data_dir"] = folder
    try:
        return Settings.model_validate(values)
    except ValidationError as fault:
        first = fault.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ConfigurationFault(f"{CONFIG_NAME}: {field}: {first['msg']}.") from fault
