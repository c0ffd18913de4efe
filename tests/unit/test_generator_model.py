"""The parts of the embedded model: codecs, text head, networks, optimiser, training steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from generator.codec import PathCodec, PictureCodec, fit
from generator.embedded import FOLDER
from generator.network import PathNetwork, PictureUNet
from generator.text import (
    CLASSES,
    CONDITION_WIDTH,
    TextHead,
    sentence_vectors,
    silent_condition,
)
from generator.training.flow import LayerSet, Plan, batch_loss, conditions, run
from generator.training.muon import orthogonalise
from generator.training.simulator import draw_layers, random_scene
from generator.world import ATTRIBUTES, KEYS, PATH_NUMBERS


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)  # threads that wait for each other are slow on a busy machine


@pytest.fixture(scope="module")
def head() -> TextHead:
    return TextHead.from_pretrained(FOLDER / "text_head", low_cpu_mem_usage=False).float()


def _picture() -> PictureUNet:
    return PictureUNet(channels=4, fine=16, coarse=32, embedding=32, height=6, width=8)


def _path() -> PathNetwork:
    return PathNetwork(channels=5, width=32, depth=2, embedding=32)


SHAPES = {_picture: (4, 6, 8), _path: (5,)}


def test_patches_come_apart_and_together_again() -> None:
    codec = PictureCodec(bands=4, patch=6, channels=10)
    pictures = torch.randn(2, 4, 96, 96)
    patches = codec.to_patches(pictures)
    assert patches.shape == (2, 16, 16, 4 * 36)
    assert torch.equal(codec.from_patches(patches), pictures)


@pytest.mark.parametrize(
    ("part", "layer", "decibels"),
    [("sprite_codec", "sprite", 32), ("backdrop_codec", "backdrop", 32)],
)
def test_the_shipped_codecs_keep_unseen_pictures(
    part: str, layer: str, decibels: float
) -> None:
    codec = PictureCodec.from_pretrained(FOLDER / part, low_cpu_mem_usage=False).float()
    rng = np.random.default_rng(123)
    drawn = [draw_layers(random_scene(rng, held=True), seed + 10**8) for seed in range(6)]
    pictures = torch.from_numpy(np.stack([getattr(one, layer) for one in drawn]))
    latents = codec.encode(pictures)
    assert 0.3 < float(latents.std()) < 3
    wrong = float(((codec.decode(latents) - pictures) / 2).square().mean())
    assert -10 * np.log10(wrong) > decibels


def test_the_shipped_path_codec_keeps_unseen_paths() -> None:
    codec = PathCodec.from_pretrained(FOLDER / "path_codec", low_cpu_mem_usage=False).float()
    rng = np.random.default_rng(5)
    paths = np.stack(
        [draw_layers(random_scene(rng, held=True), seed + 10**8).path for seed in range(8)]
    )
    back = codec.decode(codec.encode(torch.from_numpy(paths))).detach().numpy()
    assert back.shape == (8, KEYS, len(PATH_NUMBERS))
    assert np.sqrt(np.square(back - paths).mean()) < 0.03


def test_a_fitted_codec_is_exact_where_the_data_has_few_dimensions() -> None:
    torch.manual_seed(0)
    rows = torch.randn(500, 20) @ torch.randn(20, 192)
    codec = PictureCodec(bands=3, patch=8, channels=24)
    fit(codec, rows)
    back = (rows - codec.mean) @ codec.down @ codec.up + codec.mean
    assert torch.allclose(back, rows, atol=1e-2)


SAYINGS = [
    ("a red ball moves to the right over a green meadow", "ball red right meadow"),
    ("The blue car drifts left in the desert.", "car blue left desert"),
    ("at night, a yellow star rises", "star yellow up night"),
    ("a man with a balloon for a head", "balloon man - - -"),
    ("a man with a yellow balloon for a head spins", "balloon man yellow spin -"),
    ("a pink balloon moves away at sunset", "balloon pink away sunset"),
    ("the orange cat stands still in a room", "cat orange still room"),
    ("weißes Boot sinkt auf dem Meer", "boat white down sea"),
    ("une fleur violette rebondit dans la forêt", "flower purple bounce forest"),
    ("un pez rosa se acerca en el espacio", "fish pink closer space"),
    ("a heart", "heart - - -"),
    ("", "- - - -"),
]


@pytest.mark.parametrize(("text", "said"), SAYINGS)
def test_the_text_head_reads_four_languages_and_leaves_the_unsaid_open(
    head: TextHead, text: str, said: str
) -> None:
    with torch.no_grad():
        parts = head.logits(torch.from_numpy(sentence_vectors([text])))
    names = [
        ("-", *words)[int(part.argmax())]
        for part, words in zip(parts, ATTRIBUTES.values(), strict=True)
    ]
    assert " ".join(names) == said


def test_conditions_are_probabilities_and_silence_is_one_of_them(head: TextHead) -> None:
    with torch.no_grad():
        condition = head(torch.from_numpy(sentence_vectors(["a green rocket", "xyzzy"])))
    assert condition.shape == (2, CONDITION_WIDTH)
    for part in condition.split(CLASSES, dim=1):
        assert torch.allclose(part.sum(1), torch.ones(2), atol=1e-5)
    assert silent_condition().sum() == 4


def test_training_conditions_are_probabilities_too_with_some_words_unsaid() -> None:
    words = np.array([[3, 2, 1, 0]] * 400, np.uint8)
    made = conditions(words, np.random.default_rng(0))
    for k, part in enumerate(made.split(CLASSES, dim=1)):
        assert torch.allclose(part.sum(1), torch.ones(400), atol=1e-5)
        named = part.argmax(1)
        assert set(named.tolist()) == {0, int(words[0, k]) + 1}
        assert 20 < int((named == 0).sum()) < 160


@pytest.mark.parametrize("make", SHAPES)
def test_an_untrained_network_draws_no_structure_and_every_weight_learns(
    make: Callable[[], nn.Module],
) -> None:
    torch.manual_seed(0)
    network = make()
    latents = torch.randn(2, *SHAPES[make])
    width = CONDITION_WIDTH + (make is _path)
    out = network(latents, torch.rand(2), torch.rand(2, width))
    assert out.shape == latents.shape
    flat = out.detach().flatten(2) if out.ndim > 2 else out.detach()[..., None]
    assert float((flat - flat[..., :1]).abs().max()) < 1e-6
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    network(latents, torch.rand(2), torch.rand(2, width)).square().mean().backward()
    idle = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def test_muon_makes_matrices_nearly_orthogonal() -> None:
    torch.manual_seed(0)
    for shape in ((16, 40), (40, 16)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(*shape)))
        assert float(values.min()) > 0.5
        assert float(values.max()) < 1.4


def _examples() -> LayerSet:
    rng = np.random.default_rng(0)
    one = rng.normal(0, 2, (1, 4, 1, 1))
    return LayerSet(
        latents=np.broadcast_to(one, (8, 4, 6, 8)).astype(np.float16),
        words=np.zeros((8, 4), np.uint8),
        weights=np.ones((8, 6, 8), np.float16),
    )


def _losses(folder: Path) -> list[float]:
    return [float(row.split(",")[2]) for row in (folder / "loss.csv").read_text().split()]


def _trained(folder: Path, *plans: Plan) -> torch.Tensor:
    for plan in plans:
        torch.manual_seed(0)
        run(_picture(), _examples(), plan, folder)
    state = torch.load(folder / "state.pt", weights_only=True)
    return torch.cat([value.flatten() for value in state["average"].values()])


def test_training_lowers_the_loss_and_repeats_exactly(tmp_path: Path) -> None:
    plan = Plan(steps=60, batch=8, rate=3e-3)
    first = _trained(tmp_path / "one", plan)
    assert torch.equal(first, _trained(tmp_path / "two", plan))
    losses = _losses(tmp_path / "one")
    assert losses == _losses(tmp_path / "two")
    assert losses[-1] < 0.7 * losses[0]


def test_a_run_that_was_stopped_ends_where_one_that_was_not_ends(tmp_path: Path) -> None:
    plan = Plan(steps=20, batch=4)
    whole = _trained(tmp_path / "whole", plan)
    torch.manual_seed(0)
    network = _picture()
    # The first half of the same plan: the rates are the whole plan's.
    half = type("Half", (Plan,), {"rate_at": lambda self, step: plan.rate_at(step)})
    run(network, _examples(), half(steps=9, batch=4), tmp_path / "parts")
    assert torch.equal(whole, _trained(tmp_path / "parts", plan))


def test_the_loss_of_a_step_depends_on_the_seed_and_the_step_alone() -> None:
    torch.manual_seed(0)
    network, data = _picture(), _examples()
    plan = Plan(steps=10, batch=4)
    one, again, other = (float(batch_loss(network, data, plan, k).detach()) for k in (3, 3, 4))
    assert one == again
    assert one != other


def test_the_learning_rate_rises_stays_and_decays_to_almost_nothing() -> None:
    plan = Plan(steps=2_000, batch=1)
    rates = [plan.rate_at(step) for step in range(plan.steps)]
    assert rates[0] < rates[30] < rates[100] == rates[1100] == plan.rate
    assert rates[1500] < plan.rate
    assert rates[-1] == pytest.approx(plan.rate * 0.01)
