"""What fingerprints cost the gateway: ``python -m tests.bench.lookalikes [CLIPS]``.

A database with that many released clips on SQLite: the first question of a process, later
ones, one more clip; then the stage and the check on a 720p clip of four seconds. Writes
``docs/benchmarks/lookalikes.json``.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from gateway import fingerprints
from gateway.db import Database
from gateway.lookalikes import ClipLooks, Lookalikes
from gateway.media.codec import Mp4Codec
from gateway.media.sandbox import decode_untrusted
from gateway.schema import migrate
from gateway.tables import FingerprintRow, Tenant, Video
from tests.bench.fingerprint_scale import synthetic
from tests.unit.fingerprint_clips import cut, drawn
from watermark.fingerprint.inverted import InvertedIndex
from watermark.fingerprint.maker import Onlooker
from watermark.fingerprint.points import Points
from watermark.fingerprint.record import MAX_POINTS, Fingerprint

OUT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "lookalikes.json"
BATCH = 5_000
REPEATS = 7
NOW = datetime(2026, 11, 24, tzinfo=UTC)


def timed(act: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall and processor seconds, and what came of it."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = act()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def typical(act: Callable[[], Any]) -> dict[str, float]:
    """The median of several."""
    runs = [timed(act) for _ in range(REPEATS)]
    return {
        "wall_ms": round(1000 * statistics.median(run[0] for run in runs), 1),
        "cpu_ms": round(1000 * statistics.median(run[1] for run in runs), 1),
    }


def fill(database: Database, size: int) -> None:
    """Released clips with fingerprints that look like real ones."""
    rng = np.random.default_rng(1)
    real = [Fingerprint.from_bytes(record(drawn(seed))) for seed in range(12)]
    pool = np.concatenate([one.points.codes for one in real])
    pool_places = np.concatenate([one.points.places for one in real])
    with database.write() as session:
        session.add(Tenant(id="tnt_1", name="Bench", created_at=NOW))
    for start in range(0, size, BATCH):
        numbers = range(start, min(size, start + BATCH))
        codes = synthetic(pool, len(numbers) * MAX_POINTS, rng).reshape(-1, MAX_POINTS)
        videos, looks = [], []
        for row, number in enumerate(numbers):
            places = rng.choice(pool_places, MAX_POINTS)
            points = Points(codes=codes[row], places=places, aspect=16 / 9)
            raw = Fingerprint(points=points, duration_ms=4000).to_bytes()
            looks.append({"clip_id": f"{number:016x}", "number": number + 1, "record": raw})
            videos.append(video(number))
        with database.write() as session:
            session.execute(sa.insert(Video), videos)
            session.execute(sa.insert(FingerprintRow), looks)


def video(number: int) -> dict[str, Any]:
    """The row of a released clip."""
    return {
        "id": f"video_{number}", "tenant_id": "tnt_1", "clip_id": f"{number:016x}",
        "fingerprint": "0" * 64, "prompt": "a boat", "model": "embedded", "seconds": 4,
        "width": 1280, "height": 720, "seed": 0, "state": "released", "stage": "publish",
        "progress": 100, "created_at": NOW, "sha256": "0" * 64, "size_bytes": 1,
        "watermark_ok": True, "credentials_ok": True, "audit_index": number,
    }  # fmt: skip


def record(clip: Any) -> bytes:
    """The fingerprint of frames."""
    return ClipLooks().record(cut(clip, 16), fps=24)


def main() -> None:
    """Measure, print and write."""
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    told: dict[str, Any] = {"clips": size}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder / 'gate.db'}"
        migrate(url)
        database = Database(url)
        fill(database, size)
        told["database_mb"] = round((folder / "gate.db").stat().st_size / 1e6)
        looks = Lookalikes(database, make_index=InvertedIndex)
        onlooker = Onlooker()
        list(onlooker.passing(cut(drawn(3)[:, 10:170, 10:300], 16)))
        query = onlooker.query(fps=24)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        wall, _, found = timed(lambda: looks.compare(query))
        assert found.clips == found.released == size
        told["first_question_s"] = round(wall, 1)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        told["memory_mb_peak_more"] = round((after - before) / 1024)
        told["later_question"] = typical(lambda: looks.compare(query))
        with database.write() as session:
            session.add(Video(**video(size)))
            session.flush()
            fingerprints.keep(session, f"{size:016x}", record(drawn(3)))
        wall, _, found = timed(lambda: looks.compare(query))
        assert found.matches[0].clip_id == f"{size:016x}"
        told["one_more_clip_ms"] = round(1000 * wall, 1)
        database.dispose()
        path = folder / "clip.mp4"
        codec = Mp4Codec(preset="veryfast", threads=1)
        codec.encode(cut(drawn(5, 96, 720, 1280), 16), path, fps=24)

        def decoded(watch: bool) -> None:
            with decode_untrusted(path) as clip:
                seen = Onlooker()
                for _ in seen.passing(clip.chunks) if watch else clip.chunks:
                    pass
                if watch:
                    seen.query(fps=24)

        told["stage_with_decoding"] = typical(
            lambda: ClipLooks().record(codec.decode(path), fps=24)
        )
        told["stage_decoding_alone"] = typical(lambda: list(map(len, codec.decode(path))))
        told["check_decoding_alone"] = typical(lambda: decoded(watch=False))
        told["check_with_query"] = typical(lambda: decoded(watch=True))
    told["load"] = round(os.getloadavg()[0], 1)
    OUT.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
