"""Trains the text head to name what captions say."""

from __future__ import annotations

import random

import numpy as np
import torch
import torch.nn.functional as F

from generator.text import TextHead, sentence_vectors
from generator.training.captions import Caption, caption
from generator.training.simulator import random_scene
from generator.world import ATTRIBUTES

CAPTIONS = 30_000
STEPS = 2_000
BATCH = 256
NOISE = 0.15 / 22


def draw_captions(count: int, seed: int, *, held: bool) -> list[Caption]:
    """Captions of random scenes, from held-out triples or from the others."""
    rng, words = np.random.default_rng(seed), random.Random(seed)
    return [caption(random_scene(rng, held=held), words, complete=held) for _ in range(count)]


def train_head(seed: int) -> tuple[TextHead, dict[str, float]]:
    """Trains the head (about a minute) and scores it on captions of held-out triples."""
    torch.manual_seed(seed)
    shown = draw_captions(CAPTIONS, seed, held=False)
    vectors = torch.from_numpy(sentence_vectors([c.text for c in shown] + [""]))
    labels = torch.tensor([c.labels for c in shown] + [(0, 0, 0, 0)])
    head = TextHead()
    optimiser = torch.optim.AdamW(head.parameters(), lr=2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 2e-3, total_steps=STEPS, pct_start=0.1
    )
    for _ in range(STEPS):
        rows = torch.randint(0, len(vectors), (BATCH,))
        rows[0] = len(vectors) - 1
        noisy = vectors[rows] + torch.randn(BATCH, vectors.shape[1]) * NOISE
        loss = torch.stack(
            [
                F.cross_entropy(logits, labels[rows, k], label_smoothing=0.01)
                for k, logits in enumerate(head.logits(noisy))
            ]
        ).sum()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return head.eval(), score_head(head, seed + 1)


@torch.no_grad()
def score_head(head: TextHead, seed: int) -> dict[str, float]:
    """Accuracy per attribute on 2,000 complete captions of held-out triples."""
    asked = draw_captions(2_000, seed, held=True)
    vectors = torch.from_numpy(sentence_vectors([c.text for c in asked]))
    labels = torch.tensor([c.labels for c in asked])
    return {
        name: float((logits.argmax(1) == labels[:, k]).float().mean())
        for k, (name, logits) in enumerate(zip(ATTRIBUTES, head.logits(vectors), strict=True))
    }
