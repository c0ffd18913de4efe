"""How long the embedded model takes per clip: `python -m tests.bench.generator`."""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

import torch

from generator.cards import read_card
from generator.clip import GenerationRequest
from generator.diffusion import DiffusersGenerator
from generator.embedded import FOLDER

MAX_SECONDS = 20.0
PROMPT = "a red ball moves to the right over a green meadow"


def _silent(done: int, total: int) -> None:
    """Progress nobody listens to."""


def main() -> None:
    """Draws one clip per size and prints processor and wall seconds of each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    card = read_card(FOLDER)
    generator = DiffusersGenerator(FOLDER, card)
    started = time.process_time()
    generator.load()
    print(f"load {time.process_time() - started:.1f} CPU s")
    rows = []
    for size in card.sizes:
        request = GenerationRequest(
            prompt=PROMPT,
            seconds=4,
            width=size.width,
            height=size.height,
            seed=1,
            model=card.name,
        )
        wall, cpu = time.monotonic(), time.process_time()
        clip = generator.generate(request, on_progress=_silent)
        drawn_wall, drawn_cpu = time.monotonic() - wall, time.process_time() - cpu
        cpu = time.process_time()
        count = sum(len(chunk) for chunk in clip.frames)
        composed = time.process_time() - cpu
        rows.append(
            {
                "size": str(size),
                "draw_cpu_s": round(drawn_cpu, 2),
                "draw_wall_s": round(drawn_wall, 2),
                "compose_cpu_s": round(composed, 2),
                "frames": count,
            }
        )
        print(rows[-1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    worst = max(
        float(str(row["draw_cpu_s"])) + float(str(row["compose_cpu_s"])) for row in rows
    )
    if options.json:
        table = json.loads(options.json.read_text()) if options.json.exists() else {}
        table |= {"revision": card.revision, "rows": rows, "peak_mib": round(peak)}
        options.json.write_text(json.dumps(table, indent=1) + "\n")
    verdict = "within" if worst <= MAX_SECONDS else "over"
    print(
        f"The slowest clip took {worst:.1f} CPU seconds, {verdict} the limit of "
        f"{MAX_SECONDS:.0f}; peak memory {peak:.0f} MiB."
    )


if __name__ == "__main__":
    main()
