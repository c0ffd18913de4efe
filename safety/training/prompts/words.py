"""Counts the words of licensed texts into ``safety/data/words.txt``.

Run as ``python -m safety.training.prompts.words DATA`` where DATA holds the folder ``train``.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from safety.lexicon import WORDS_PATH
from safety.normalize import plain, words
from safety.training.prompts.grammar import OWN

# Descriptions of scenes, everyday sentences, and rude ones: who spells letter by letter what
# no filter should read uses words of the last kind (MIT, Apache-2.0, BSD, CC0, CC BY).
SOURCES = (
    "chronomagic", "coco_captions", "copro_id", "fetv", "partiprompts", "t2i_compbench",
    "vbench", "vbench_long", "i2p", "advbench", "paradetox_en", "germeval2018_de", "davidson",
    "mlma_en_fr_ar", "adversarial_nibbler_r1",
)  # fmt: skip
MIN_COUNT = 3
MAX_WORDS = 40_000
_SLOT = re.compile(r"\{[a-z]+\}")


def main(data: Path) -> None:
    counter: Counter[str] = Counter()
    for source in SOURCES:
        for path in sorted((data / "train").glob(f"{source}*.jsonl.gz")):
            with gzip.open(path, "rt", encoding="utf-8") as stream:
                for line in stream:
                    row = json.loads(line)
                    counter.update(_letters(row["text"]))
    common = {w: n for w, n in counter.most_common(MAX_WORDS) if n >= MIN_COUNT}
    # Our own sentences are proof-read: a word that stands there once is a word.
    for path in sorted(OWN.glob("*.toml")):
        for sentence in _sentences(tomllib.loads(path.read_text("utf-8"))):
            for word in _letters(_SLOT.sub(" ", sentence)):
                common[word] = common.get(word, 0) + 1
    lines = [f"{word}\t{count}\n" for word, count in sorted(common.items())]
    WORDS_PATH.write_text("".join(lines), encoding="utf-8")
    print(f"{len(lines)} words")


def _letters(text: str) -> list[str]:
    return [word for word in words(plain(text)) if word.isalpha()]


def _sentences(content: object) -> Iterator[str]:
    """Every text of a file of our own, in whatever table."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict):
        for value in content.values():
            yield from _sentences(value)
    elif isinstance(content, list):
        for value in content:
            yield from _sentences(value)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
