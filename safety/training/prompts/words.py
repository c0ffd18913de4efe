"""Counts the words of licensed texts into ``safety/data/words.txt``.

Run as ``python -m safety.training.prompts.words DATA`` where DATA holds the folder ``train``.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import Counter
from pathlib import Path

from safety.lexicon import WORDS_PATH
from safety.normalize import plain, words

# Descriptions of scenes, and neutral everyday sentences (MIT, Apache-2.0, BSD, CC0, CC BY).
SOURCES = (
    "chronomagic", "coco_captions", "copro_id", "fetv", "partiprompts", "t2i_compbench",
    "vbench", "vbench_long", "i2p", "advbench", "paradetox_en", "germeval2018_de",
)  # fmt: skip
MIN_COUNT = 3
MAX_WORDS = 30_000


def main(data: Path) -> None:
    counter: Counter[str] = Counter()
    for source in SOURCES:
        for path in sorted((data / "train").glob(f"{source}*.jsonl.gz")):
            with gzip.open(path, "rt", encoding="utf-8") as stream:
                for line in stream:
                    row = json.loads(line)
                    if source in {"paradetox_en", "germeval2018_de"} and row["label"] == 1:
                        continue
                    counter.update(w for w in words(plain(row["text"])) if w.isalpha())
    common = [(w, n) for w, n in counter.most_common(MAX_WORDS) if n >= MIN_COUNT]
    lines = [f"{word}\t{count}\n" for word, count in sorted(common)]
    WORDS_PATH.write_text("".join(lines), encoding="utf-8")
    print(f"{len(lines)} words")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
