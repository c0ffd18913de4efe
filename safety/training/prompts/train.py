"""Trains the heads of the text classifier and writes them with their card.

Run as ``python -m safety.training.prompts.train DATA [--cache DIR]``; DATA holds the licensed
folder ``train``. Only that folder and our own grammars are read. Deterministic on one machine:
fixed seeds, one thread.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from safety.encoder import EMBEDDING_WIDTH, Encoder
from safety.heads import HEADS_FILE, WEIGHTS_DIR
from safety.lexicon import counts
from safety.normalize import fold
from safety.soundness import SEEN_ONLY
from safety.training.prompts.disguise import DISGUISES
from safety.training.prompts.grammar import NO_SPACES, Grammar, Row
from safety.verdict import Category

SEED = 20261122
HIDDEN = 256
EPOCHS = 7
BATCH = 384
# A near miss teaches more than one more caption: it sets the border.
WEIGHTS = {"positive": 1.0, "near": 3.0, "everyday": 0.7}
ARTIST_ROWS = 1200
# Nothing was learnt about sequences (recall 0 on the tuning sets), so no head pretends to.
WITHOUT_HEAD = SEEN_ONLY | {
    Category.SEXUAL_MINORS, Category.LIVING_ARTIST_STYLE, Category.TEMPORAL_COMPOSITE
}  # fmt: skip
HEADS = tuple(c for c in Category if c not in WITHOUT_HEAD)
PER_SENTENCE = {"en": 8, "*": 6}
EVERYDAY = {"en": 1500, "*": 900}
BURIED_SHARE = 0.15
BURIED_IN = (2, 5)
ALL = frozenset(HEADS)
OUTPUTS = frozenset({"w2", "b2", "scale", "shift", "ceiling"})
SOCIAL = frozenset({Category.HATE})

BENIGN = ("coco_captions", "chronomagic", "fetv", "partiprompts", "t2i_compbench", "vbench",
          "vbench_long", "sneakyprompt_benign_animals")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Example:
    """A text with a target per head: 1, 0, or absent (not known). ``general`` likewise."""

    text: str
    positive: frozenset[Category]
    negative: frozenset[Category]
    general: int | None
    weight: float
    source: str


def own(rows: Sequence[Row]) -> Iterator[Example]:
    for row in rows:
        harmless = {Category.PUBLIC_FIGURE, Category.IP_CHARACTER_BRAND}
        harmful = bool(row.positive - harmless)
        yield Example(
            text=row.text,
            positive=row.positive & ALL,
            negative=ALL - row.positive - row.unknown,
            general=1 if harmful else None if row.positive else 0,
            weight=WEIGHTS[row.kind] * (1.0 if row.lang == "en" else 1.5),
            source=f"own_{row.kind}",
        )


def licensed(data: Path) -> Iterator[Example]:
    for source in BENIGN:
        for row in _rows(data, source):
            yield _benign(row["text"], source)
    for row in _rows(data, "copro_id"):
        if row["label"] == 0:
            yield _benign(row["text"], "copro_id")
        else:
            yield Example(text=row["text"], positive=frozenset(), negative=frozenset(),
                          general=1, weight=0.7, source="copro_id")  # fmt: skip
    styles = list(_rows(data, "artist_style_prompts"))
    for row in random.Random(SEED).sample(styles, k=ARTIST_ROWS):
        yield _benign(row["text"], "artist_style_prompts")  # rules judge artists, not heads
    for row in _rows(data, "advbench"):
        yield Example(text=row["text"], positive=frozenset({Category.ILLICIT}),
                      negative=frozenset(), general=1, weight=0.5,
                      source="advbench")  # fmt: skip
    for row in _rows(data, "gptfuzz_templates"):
        yield Example(text=row["text"], positive=frozenset({Category.PROMPT_ATTACK}),
                      negative=frozenset(), general=None, weight=2.0,
                      source="gptfuzz_templates")  # fmt: skip
    for source in ("davidson", "mlma_en_fr_ar"):
        for row in _rows(data, source):
            hateful = "hate" in row["policy"]
            if row["label"] == 1 and not hateful:
                continue  # rude is not unsafe
            yield Example(text=row["text"], positive=SOCIAL if hateful else frozenset(),
                          negative=frozenset() if hateful else SOCIAL, general=None,
                          weight=0.25, source=source)  # fmt: skip


def buried(rows: Sequence[Row], draw: random.Random) -> Iterator[Row]:
    """Some rows again, each as one sentence among several harmless ones of its language."""
    harmless: dict[str, list[str]] = {}
    for row in rows:
        if row.kind == "everyday" and len(row.text) < 160:
            harmless.setdefault(row.lang, []).append(row.text)
    for row in rows:
        if row.kind == "everyday" or draw.random() >= BURIED_SHARE:
            continue
        sentences = draw.sample(harmless[row.lang], k=draw.randint(*BURIED_IN))
        sentences.insert(draw.randint(0, len(sentences)), row.text)
        full, gap = ("。", "") if row.lang in NO_SPACES else (".", " ")
        text = gap.join(f"{sentence.rstrip('.。 ')}{full}" for sentence in sentences)
        yield replace(row, text=text)


def garbled(benign: Sequence[str], draw: random.Random) -> Iterator[Example]:
    """Benign text in disguise, and token salad: the one is harmless, the other a signal."""
    names = sorted(DISGUISES)
    for text in draw.sample(list(benign), k=2400):
        yield _benign(DISGUISES[draw.choice(names)](text, draw), "own_garbled")
    vocabulary = [w for w, n in counts().items() if n >= 3]
    pieces = [w[draw.randint(0, 2) :] for w in vocabulary if len(w) > 4]
    signs = [*"{}[]()<>\\/|`~^%$#@!*&+=;:", "}{", "](", "\\\\", "<<", "==", "/*"]
    scripts = [c for row in benign if not row.isascii() for c in row.split()][:8000]
    for _ in range(3000):
        kind = draw.randint(0, 3)
        length = draw.randint(4, 24)
        if kind == 0:
            parts = [draw.choice(pieces) for _ in range(length)]
        elif kind == 1:
            parts = [
                draw.choice(draw.choice((pieces, signs, vocabulary))) for _ in range(length)
            ]
        elif kind == 2:
            parts = [draw.choice(draw.choice((pieces, scripts, signs))) for _ in range(length)]
        else:
            letters = "abcdefghijklmnopqrstuvwxyz"
            parts = [
                "".join(draw.choices(letters, k=draw.randint(3, 9))) for _ in range(length)
            ]
        glue = draw.choice([" ", " ", "", " "]) if kind != 3 else " "
        text = glue.join(parts)
        if draw.random() < 0.4:  # a salad around or after an ordinary prompt
            host = draw.choice(list(benign))[:120]
            text = f"{host} {text}" if draw.random() < 0.5 else f"{text} {host}"
        yield Example(text=text, positive=frozenset({Category.PROMPT_ATTACK}),
                      negative=frozenset(), general=None, weight=1.0,
                      source="own_salad")  # fmt: skip


def _benign(text: str, source: str) -> Example:
    return Example(text=text, positive=frozenset(), negative=ALL, general=0, weight=1.0,
                   source=source)  # fmt: skip


def _rows(data: Path, source: str) -> Iterator[dict[str, Any]]:
    for path in sorted((data / "train").glob(f"{source}.*")):
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            yield from map(json.loads, stream)


def examples(data: Path) -> list[Example]:
    draw = random.Random(SEED)
    grammar = Grammar(SEED)
    rows = grammar.rows(PER_SENTENCE)
    for lang in grammar.languages:
        rows += [grammar.everyday(lang) for _ in range(EVERYDAY.get(lang, EVERYDAY["*"]))]
    rows += list(buried(rows, draw))
    found = [*own(rows), *licensed(data)]
    benign = [e.text for e in found if e.negative == ALL and len(e.text) < 200]
    found += garbled(benign, draw)
    return list({fold(e.text): e for e in reversed(found)}.values())[::-1]


def embed(texts: Sequence[str], cache: Path | None) -> np.ndarray[Any, Any]:
    """float32[N, 512] of the folded texts, from the cache where it holds them."""
    folded = [fold(text) for text in texts]
    keys = [hashlib.sha256(text.encode()).hexdigest() for text in folded]
    store: dict[str, np.ndarray[Any, Any]] = {}
    if cache is not None and (cache / "embeddings.npz").exists():
        with np.load(cache / "embeddings.npz") as packed:
            store = dict(zip(packed["keys"].tolist(), packed["values"], strict=True))
    missing = sorted(
        {k: t for k, t in zip(keys, folded, strict=True) if k not in store}.items()
    )
    encoder = Encoder()
    for start in range(0, len(missing), 512):
        part = missing[start : start + 512]
        values = encoder([text for _, text in part])
        store.update({k: v.astype(np.float16) for (k, _), v in zip(part, values, strict=True)})
    if cache is not None and missing:
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(cache / "embeddings.npz", keys=np.array(list(store)),
                 values=np.stack(list(store.values())))  # fmt: skip
    return np.stack([store[k] for k in keys]).astype(np.float32)


def targets(found: Sequence[Example]) -> tuple[Any, Any]:
    """Targets and weights, float32[N, heads + 1]; the last column is the general head."""
    width = len(HEADS) + 1
    y = np.zeros((len(found), width), np.float32)
    w = np.zeros((len(found), width), np.float32)
    for i, example in enumerate(found):
        for j, category in enumerate(HEADS):
            if category in example.positive or category in example.negative:
                y[i, j] = float(category in example.positive)
                w[i, j] = example.weight
        if example.general is not None:
            y[i, -1], w[i, -1] = example.general, example.weight
    positives, negatives = (w * y).sum(0), (w * (1 - y)).sum(0)
    lift = np.sqrt(negatives / np.maximum(positives, 1.0)).clip(1.0, 8.0)
    return y, w * np.where(y > 0, lift, 1.0)


def fit(x: Any, y: Any, w: Any, *, hidden: int, epochs: int, seed: int) -> dict[str, Any]:
    """A layer shared by all heads, trained with dropout and weight decay."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    first, last = nn.Linear(EMBEDDING_WIDTH, hidden), nn.Linear(hidden, y.shape[1])
    net = nn.Sequential(first, nn.ReLU(), nn.Dropout(0.4), last)
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=2e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    tx, ty, tw = (torch.from_numpy(np.ascontiguousarray(a)) for a in (x, y, w))
    order = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for batch in torch.split(torch.randperm(len(tx), generator=order), BATCH):
            noise = 0.01 * torch.randn(len(batch), EMBEDDING_WIDTH, generator=order)
            logits = net(tx[batch] + noise)
            losses = nn.functional.binary_cross_entropy_with_logits(
                logits, ty[batch], weight=tw[batch], reduction="sum"
            )
            optimiser.zero_grad()
            (losses / len(batch)).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        schedule.step()
    state = {k: v.detach().numpy().copy() for k, v in net.state_dict().items()}
    return {
        "w1": np.ascontiguousarray(state["0.weight"].T), "b1": state["0.bias"],
        "w2": np.ascontiguousarray(state["3.weight"].T), "b2": state["3.bias"],
        "scale": np.ones(y.shape[1], np.float32), "shift": np.zeros(y.shape[1], np.float32),
        "ceiling": np.ones(y.shape[1], np.float32),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--out", type=Path, default=WEIGHTS_DIR)
    options = parser.parse_args()
    found = examples(options.data)
    print(len(found), Counter(e.source for e in found))
    x = embed([e.text for e in found], options.cache)
    y, w = targets(found)
    layers = fit(x, y, w, hidden=HIDDEN, epochs=EPOCHS, seed=SEED)
    from safety.training.prompts.card import write

    # The general head only helped to shape the shared layer; no policy stands for it.
    layers = {k: v[..., : len(HEADS)] if k in OUTPUTS else v for k, v in layers.items()}
    write(options.out / HEADS_FILE, layers, HEADS, Counter(e.source for e in found))


if __name__ == "__main__":
    main()
