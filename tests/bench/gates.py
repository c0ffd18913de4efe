"""Measures what a clip costs after it was made: each gate beside plainly encoding the clip.

    python -m tests.bench.gates [--lengths 5,20,60] [--json FILE]

Clips of the embedded model at 1280x720 and 24 frames a second, several in a row for the longer
ones, go through the real parts of an instance: the frame gate with every judge, the watermark,
the delivery encoding and the reading back of the mark, the credentials. One process for each
length; processor seconds (user and system) and the peak of resident memory are the process's
own. The ratio is to decoding the raw clip and encoding it with x264 at the delivery settings,
in the same process.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from gateway.app import Gateway
from gateway.lookalikes import ClipLooks
from gateway.orders import Order
from gateway.provenance.signing import C2paSigner
from gateway.registers import utc_now
from gateway.sealer import ClipSealer
from gateway.settings import Settings
from generator.clip import Frames, GenerationRequest
from safety.circumstances import STRICTEST
from watermark.payload import Payload

OUT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "gates.json"
WIDTH, HEIGHT, FPS = 1280, 720, 24
CHILDREN = resource.RUSAGE_CHILDREN
GOAL_RATIO = 3.0
GOAL_MIB = 1.2 * 1024
FLAT = 1.1  # the longest clip's peak beside the shortest one's
PROMPTS = (
    "a red balloon rises over the sea",
    "a man with a yellow balloon for a head walks through the city",
    "a white bird flies across the desert",
)


def frames(gateway: Gateway, seconds: int) -> Iterator[Frames]:
    """So many seconds of the embedded model's clips."""
    left = seconds * FPS
    model = gateway.generators["embedded"]
    for number in range(seconds):
        request = GenerationRequest(
            prompt=PROMPTS[number % len(PROMPTS)],
            seconds=8,
            width=WIDTH,
            height=HEIGHT,
            seed=number,
            model=model.name,
        )
        clip = model.generate(request, on_progress=lambda *_: None)
        for chunk in clip.frames:
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                return


def used() -> float:
    """Processor seconds of this process and of children that ended."""
    own, ended = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, CHILDREN))
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime


def measure(seconds: int, raw: Path, folder: Path) -> dict[str, Any]:
    """Send one raw clip through the gates; processor seconds by stage."""
    gateway = Gateway(Settings(data_dir=folder))
    spent: dict[str, float] = {}
    gone: dict[str, float] = {}

    def timed(name: str, act: Callable[[], Any]) -> Any:
        before, began = used(), time.monotonic()
        done = act()
        spent[name] = spent.get(name, 0.0) + used() - before
        gone[name] = gone.get(name, 0.0) + time.monotonic() - began
        return done

    with gateway.opened(), gateway.signature.time_stamps(utc_now) as url:
        codec, marker = gateway.codec, gateway.watermarker
        plain, marked, signed = (
            folder / f"{name}.mp4" for name in ("plain", "marked", "signed")
        )
        payload = Payload.from_hex("00112233445566ff")
        warm = list(islice(codec.decode(raw), 2))  # not the whole clip: its memory counts
        gateway.frames.judge(iter(warm), fps=FPS, circumstances=STRICTEST)  # loads the models
        timed("plain", lambda: codec.encode(codec.decode(raw), plain, fps=FPS))
        verdict = timed(
            "check",
            lambda: gateway.frames.judge(codec.decode(raw), fps=FPS, circumstances=STRICTEST),
        )
        embedded = marker.embed(codec.decode(raw), payload, fps=FPS)
        timed("mark", lambda: codec.encode(embedded, marked, fps=FPS))
        signer = C2paSigner(
            gateway.signature.identity,
            url,
            tsa_anchors_pem=gateway.signature.tsa_anchors_pem,
            clock=utc_now,
        )
        sealer = ClipSealer(
            settings=gateway.settings,
            signer=signer,
            reader=gateway.reader,
            cards=gateway.cards,
            clock=utc_now,
        )
        still = codec.thumbnail(marked)
        looks = ClipLooks()
        record = timed("fingerprint", lambda: looks.record(codec.decode(marked), fps=FPS))
        sealed = partial(sealer.seal, thumbnail=still, fingerprint=record)
        timed("sign", lambda: sealed(order(payload), marked, signed))
        # Twice, as on the path: after the encoding, and from the shelf.
        for path in (marked, signed):
            stored = codec.decode(path)
            reading = timed("read back", partial(marker.extract, stored, fps=FPS))
            assert reading.payload == payload, "the mark was not read back"
        assert sealer.named_clip(signed) == payload.hex
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    plain_spent = spent.pop("plain")
    return {
        "seconds": seconds,
        "verdict": str(verdict.action),
        "plain_cpu_s": round(plain_spent, 2),
        "plain_s": round(gone.pop("plain"), 2),
        "cpu_s": {name: round(value, 2) for name, value in spent.items()},
        "wall_s": {name: round(value, 2) for name, value in gone.items()},
        "ratio": {name: round(value / plain_spent, 2) for name, value in spent.items()},
        "ratio_all": round(sum(spent.values()) / plain_spent, 2),
        "peak_mib": round(peak),
    }


def order(payload: Payload) -> Order:
    """What the sealer asks of an order."""
    return Order(
        video_id="video_bench",
        tenant_id="tnt_bench",
        clip_id=payload.hex,
        prompt="",
        model="embedded",
        seconds=8,
        width=WIDTH,
        height=HEIGHT,
        seed=0,
        created_at=utc_now(),
    )


def main() -> None:
    """Runs every length in a process of its own; prints a table and one line, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lengths", default="5,20,60")
    parser.add_argument("--json", type=Path, default=OUT)
    options = parser.parse_args()
    rows = []
    for seconds in (int(length) for length in options.lengths.split(",")):
        with tempfile.TemporaryDirectory(prefix="gates") as root:
            folder = Path(root)
            for step in ("make", "measure"):
                command = [sys.executable, "-m", "tests.bench.gates", step, str(seconds), root]
                subprocess.run(command, check=True)
            rows.append(json.loads((folder / "row.json").read_text()))
        print(json.dumps(rows[-1]), flush=True)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(
        json.dumps({"rows": rows, "load": os.getloadavg()[0]}, indent=1) + "\n"
    )
    worst = max(row["ratio_all"] for row in rows)
    peaks = [row["peak_mib"] for row in rows]
    flat = "flat over length" if max(peaks) <= FLAT * peaks[0] else "NOT flat over length"
    if len(rows) < 2:
        flat = "of one length"
    print(
        f"Gates cost at most {worst:.1f} times plain encoding (goal {GOAL_RATIO:.0f}); peak "
        f"memory {max(peaks)} MiB (goal {GOAL_MIB:.0f}), {flat}."
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["make"]:
        place = Path(sys.argv[3])
        maker = Gateway(Settings(data_dir=place / "maker"))
        clip = frames(maker, int(sys.argv[2]))
        maker.codec.encode_lossless(clip, place / "raw.mp4", fps=FPS)
    elif sys.argv[1:2] == ["measure"]:
        place = Path(sys.argv[3])
        row = measure(int(sys.argv[2]), place / "raw.mp4", place / "instance")
        (place / "row.json").write_text(json.dumps(row))
    else:
        main()
