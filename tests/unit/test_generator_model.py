"""The parts of the embedded model: codec, text head, network, optimiser, training steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from generator.codec import PATCH, PatchCodec, fit_codec, from_patches, to_patches
from generator.embedded import FOLDER
from generator.network import SceneUNet
from generator.text import CLASSES, TextHead, sentence_vectors, silent_condition
from generator.training.dataset import TrainingSet, as_video
from generator.training.muon import orthogonalise
from generator.training.simulator import random_scene, render
from generator.training.train import Average, Plan, batch_loss, optimisers
from generator.world import ATTRIBUTES


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)  # threads that wait for each other are slow on a busy machine


@pytest.fixture(scope="module")
def codec() -> PatchCodec:
    return PatchCodec.from_pretrained(FOLDER / "codec", low_cpu_mem_usage=False)


@pytest.fixture(scope="module")
def head() -> TextHead:
    return TextHead.from_pretrained(FOLDER / "text_head", low_cpu_mem_usage=False).float()


def test_patches_come_apart_and_together_again() -> None:
    video = torch.randn(2, 3, 16, 48, 80)
    patches = to_patches(video)
    assert patches.shape == (2, 8, 12, 20, 3 * PATCH[0] * PATCH[1] * PATCH[2])
    assert torch.equal(from_patches(patches), video)


def test_the_shipped_codec_keeps_unseen_clips_above_28_decibels(codec: PatchCodec) -> None:
    rng = np.random.default_rng(123)
    for seed in range(4):
        video = as_video(render(random_scene(rng, held=True), seed + 10**8).frames)
        latents = codec.encode(video)
        assert latents.shape == (1, 32, 8, 12, 20)
        assert 0.3 < float(latents.std()) < 3
        wrong = float(((codec.decode(latents) - video) / 2).square().mean())
        assert -10 * np.log10(wrong) > 28


def test_a_fitted_codec_is_exact_where_the_data_has_few_dimensions() -> None:
    torch.manual_seed(0)
    basis = torch.randn(20, 96)
    rows = torch.randn(500, 20) @ basis
    codec = fit_codec(rows)
    back = (rows - codec.mean) @ codec.down @ codec.up + codec.mean
    assert torch.allclose(back, rows, atol=1e-2)


SAYINGS = [
    ("a red ball moves to the right over a green meadow", "ball red right meadow"),
    ("The blue car drifts left in the desert.", "car blue left desert"),
    ("at night, a yellow star rises", "star yellow up night"),
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
    assert condition.shape == (2, sum(CLASSES))
    for part in condition.split(CLASSES, dim=1):
        assert torch.allclose(part.sum(1), torch.ones(2), atol=1e-5)
    assert silent_condition().sum() == 4


def test_an_untrained_network_draws_no_structure_and_every_weight_learns() -> None:
    torch.manual_seed(0)
    network = SceneUNet(fine=16, coarse=32, embedding=32)
    latents = torch.randn(2, 32, 8, 12, 20)
    out = network(latents, torch.rand(2), torch.rand(2, 36))
    assert out.shape == latents.shape
    assert float(out.detach().std(dim=(2, 3, 4)).max()) < 1e-6
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    network(latents, torch.rand(2), torch.rand(2, 36)).square().mean().backward()
    idle = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def test_a_single_slice_is_told_its_place_in_the_clip() -> None:
    torch.manual_seed(0)
    network = SceneUNet(fine=16, coarse=32, embedding=32)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    one = torch.randn(1, 32, 1, 12, 20).expand(2, -1, -1, -1, -1)
    with torch.no_grad():
        out = network(one, torch.full((2,), 0.5), torch.zeros(2, 36), torch.tensor([0, 7]))
    assert not torch.allclose(out[0], out[1])


def test_muon_makes_matrices_nearly_orthogonal() -> None:
    torch.manual_seed(0)
    for shape in ((16, 40), (40, 16)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(*shape)))
        assert float(values.min()) > 0.5
        assert float(values.max()) < 1.4


def test_training_steps_repeat_exactly_and_lower_the_loss() -> None:
    rng = np.random.default_rng(0)
    data = TrainingSet(
        latents=np.broadcast_to(rng.normal(0, 2, (1, 32, 1, 1, 1)), (4, 32, 8, 12, 20)).astype(
            np.float16
        ),
        coverage=np.zeros((4, 8, 12, 20), np.uint8),
        sentences=np.zeros((4, 3, 512), np.float16),
    )
    conditions = torch.zeros(4, 3, 36)
    plan = Plan(slice_steps=12, clip_steps=2, finish_from=13, slice_batch=8, clip_batch=1)

    def losses() -> list[float]:
        torch.manual_seed(0)
        network = SceneUNet(fine=16, coarse=32, embedding=32)
        pair = optimisers(network)
        average = Average(network)
        out = []
        for step in range(plan.steps):
            for optimiser in pair:
                for group in optimiser.param_groups:
                    group["lr"] = 3e-3
            loss = batch_loss(network, data, conditions, plan, step)
            loss.backward()
            for optimiser in pair:
                optimiser.step()
                optimiser.zero_grad()
            average.update(network, step)
            out.append(float(loss.detach()))
        return out

    first = losses()
    assert first == losses()
    assert np.mean(first[9:12]) < 0.95 * np.mean(first[:3])


def test_the_learning_rate_rises_stays_and_decays_to_almost_nothing() -> None:
    plan = Plan(slice_steps=400, clip_steps=1600, finish_from=1500)
    rates = [plan.rate_at(step) for step in range(plan.steps)]
    assert rates[0] < rates[30] < rates[100] == rates[1000] == plan.rate
    assert rates[1500] < plan.rate
    assert rates[-1] == pytest.approx(plan.rate * 0.01)
