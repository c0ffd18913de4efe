"""The shipped model keeps its promises: loads, obeys, repeats, stops, and refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline

from generator.cards import read_card
from generator.clip import Clip, GenerationRequest, Generator
from generator.compositor import Composed, Layers
from generator.diffusion import DiffusersGenerator
from generator.embedded import FOLDER, SceneVideoPipeline, register
from generator.errors import UnsupportedRequest, WeightsMissing
from generator.training.evaluate import random_like
from generator.training.sprites import draw_sprite
from generator.world import OBJECTS

# What the shipped folder may weigh in the repository.
MAX_WEIGHTS_BYTES = 40_000_000


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)  # threads that wait for each other are slow on a busy machine


@pytest.fixture(scope="module")
def generator() -> DiffusersGenerator:
    return DiffusersGenerator(FOLDER, read_card(FOLDER))


@pytest.fixture(scope="module")
def pipeline() -> SceneVideoPipeline:
    register()
    loaded = DiffusionPipeline.from_pretrained(FOLDER, local_files_only=True)
    loaded.set_progress_bar_config(disable=True)
    return loaded.to(torch.float32)


def _request(
    prompt: str = "a red ball bounces in the desert", **changes: int
) -> GenerationRequest:
    values = {"seconds": 2, "width": 640, "height": 360, "seed": 3} | changes
    return GenerationRequest(prompt=prompt, model="cinegate-scenes", **values)


def _silent(done: int, total: int) -> None:
    """Progress nobody listens to."""


def _frames(clip: Clip) -> np.ndarray:
    return np.concatenate(list(clip.frames))


def test_plain_diffusers_loads_the_folder(pipeline: SceneVideoPipeline) -> None:
    assert type(pipeline).__name__ == "SceneVideoPipeline"
    clip = pipeline(
        "a blue boat on the sea",
        num_inference_steps=2,
        num_frames=5,
        height=90,
        width=160,
        generator=torch.Generator().manual_seed(1),
    ).frames
    assert clip.shape == (1, 5, 90, 160, 3)
    assert clip.dtype == np.float32
    assert 0 <= clip.min() < clip.max() <= 1


def test_the_folder_is_small_enough_for_the_repository() -> None:
    size = sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file())
    assert 1_000_000 < size <= MAX_WEIGHTS_BYTES


def test_a_clip_has_the_promised_shape_and_the_same_request_repeats_it(
    generator: DiffusersGenerator,
) -> None:
    seam: Generator = generator
    steps: list[tuple[int, int]] = []
    clip = seam.generate(
        _request(), on_progress=lambda done, total: steps.append((done, total))
    )
    total = generator.card.sampling.steps
    assert steps == [(k + 1, total) for k in range(total)]
    assert (clip.width, clip.height, clip.fps, clip.frame_count) == (640, 360, 24, 48)
    assert all(c.dtype == np.uint8 and len(c) <= 16 for c in clip.frames)
    frames = _frames(clip)
    assert frames.shape == (48, 360, 640, 3)
    again = _frames(generator.generate(_request(), on_progress=_silent))
    assert np.array_equal(frames, again)
    assert np.array_equal(frames, _frames(clip))
    other = _frames(generator.generate(_request(seed=4), on_progress=_silent))
    assert not np.array_equal(frames, other)


# Background → whether the mean colour (red, green, blue in 0..1) looks like it. The mean of
# a whole clip hardly depends on the object, so these are statements about the background.
LOOKS = {
    "over a green meadow": lambda r, g, b: g > r + 0.05,
    "in the desert": lambda r, g, b: r > b + 0.08 and r > 0.55,
    "at night": lambda r, g, b: r + g + b < 0.9 and b > r,
    "in outer space": lambda r, g, b: r + g + b < 0.9 and r > g,
    "on the sea": lambda r, g, b: b > r + 0.1,
    "at sunset": lambda r, g, b: r > g + 0.12,
    "in a forest": lambda r, g, b: g > r + 0.05 and g > b,
}
SEEDS = 2
# Of 14 clips; the other way round (shuffled prompts) only a few match by chance.
MUST_OBEY = 12
MAY_MATCH_BY_CHANCE = 6


def _mean_colours(pipeline: SceneVideoPipeline) -> dict[str, list[np.ndarray]]:
    out: dict[str, list[np.ndarray]] = {}
    for place in LOOKS:
        clips = pipeline(
            [f"a white ball {place}"] * SEEDS,
            num_inference_steps=6,
            num_frames=3,
            height=45,
            width=80,
            generator=torch.Generator().manual_seed(11),
        ).frames
        out[place] = [clip.mean(axis=(0, 1, 2)) for clip in clips]
    return out


def test_the_background_obeys_the_prompt_and_not_by_chance(
    pipeline: SceneVideoPipeline,
) -> None:
    colours = _mean_colours(pipeline)
    obeyed = sum(
        bool(LOOKS[place](*mean)) for place, means in colours.items() for mean in means
    )
    assert obeyed >= MUST_OBEY
    places = list(LOOKS)
    shuffled = dict(zip(places, places[3:] + places[:3], strict=True))
    chance = sum(
        bool(LOOKS[shuffled[place]](*mean))
        for place, means in colours.items()
        for mean in means
    )
    assert chance <= MAY_MATCH_BY_CHANCE


TARGETS = {"red": (0.88, 0.11, 0.12), "blue": (0.12, 0.3, 0.9), "yellow": (0.99, 0.87, 0.12)}


def test_the_main_colour_obeys_the_prompt(pipeline: SceneVideoPipeline) -> None:
    """Pixels near a colour are most common in the clips that were asked for it."""
    shares: dict[str, dict[str, float]] = {}
    for asked in TARGETS:
        clips = pipeline(
            [f"a {asked} ball moves to the right in the city"] * 2,
            num_inference_steps=8,
            num_frames=3,
            height=45,
            width=80,
            generator=torch.Generator().manual_seed(5),
        ).frames
        shares[asked] = {
            seen: float((np.abs(clips - np.array(value)).sum(axis=-1) < 0.5).mean())
            for seen, value in TARGETS.items()
        }
    for seen in TARGETS:
        others = [shares[asked][seen] for asked in TARGETS if asked != seen]
        assert shares[seen][seen] > 0.015
        assert shares[seen][seen] > 2 * max(others)


def _layers(pipeline: SceneVideoPipeline, prompt: str, **settings: int) -> list[Layers]:
    drawn = pipeline(
        [prompt] * 3,
        num_inference_steps=8,
        output_type="layers",
        generator=torch.Generator().manual_seed(7),
        **settings,
    ).frames
    assert all(isinstance(layers, Layers) for layers in drawn)
    return drawn


MOVES = {
    "to the right": lambda path: path[-1, 0] - path[0, 0] > 0.7,
    "to the left": lambda path: path[0, 0] - path[-1, 0] > 0.7,
    "up": lambda path: path[-1, 1] - path[0, 1] > 0.4,
    "down": lambda path: path[0, 1] - path[-1, 1] > 0.4,
    "closer": lambda path: path[-1, 2] - path[0, 2] > 0.6,
    "away": lambda path: path[0, 2] - path[-1, 2] > 0.6,
}
ASKED = {"up": "rises", "down": "falls", "closer": "comes closer", "away": "moves away"}


def test_the_object_moves_as_the_prompt_says(pipeline: SceneVideoPipeline) -> None:
    obeyed = 0
    for move, holds in MOVES.items():
        words = ASKED.get(move, f"moves {move}")
        drawn = _layers(pipeline, f"a yellow balloon {words} in the mountains")
        obeyed += sum(bool(holds(layers.path)) for layers in drawn)
    assert obeyed >= 16  # of 18


def test_a_longer_clip_has_more_bounces_not_slower_ones(pipeline: SceneVideoPipeline) -> None:
    turns = []
    for seconds in (2, 8):
        drawn = _layers(pipeline, "a red ball bounces in a meadow", num_frames=24 * seconds)
        heights = [layers.path[:, 1] for layers in drawn]
        turns.append(sum(int((np.diff(np.sign(np.diff(h))) != 0).sum()) for h in heights))
    assert turns[1] > 1.4 * turns[0]


def _outline(layers: Layers) -> np.ndarray:
    return layers.sprite[3] > 0


SAID = {"balloon man": "man with a red balloon for a head", "person": "man in a red shirt"}


def test_drawn_outlines_are_nearest_to_outlines_of_the_object_asked_for(
    pipeline: SceneVideoPipeline,
) -> None:
    drawn = pipeline(
        [f"a {SAID.get(name, f'red {name}')}" for name in OBJECTS] * 2,
        num_inference_steps=8,
        output_type="layers",
        generator=torch.Generator().manual_seed(7),
    ).frames
    rng = np.random.default_rng(1)
    known = {name: [draw_sprite(name, "red", rng)[3] > 0 for _ in range(6)] for name in OBJECTS}

    def nearest(shape: np.ndarray) -> str:
        return min(known, key=lambda name: min(int((shape ^ k).sum()) for k in known[name]))

    right = sum(
        nearest(_outline(layers)) == name
        for layers, name in zip(drawn, OBJECTS * 2, strict=True)
    )
    assert right >= 28  # of 32


def test_random_weights_draw_no_object(pipeline: SceneVideoPipeline) -> None:
    """Nothing but the trained weights holds the shapes."""
    trained = pipeline.sprite_network
    torch.manual_seed(0)
    pipeline.register_modules(sprite_network=random_like(trained))
    try:
        ragged = _layers(pipeline, "a red heart")
    finally:
        pipeline.register_modules(sprite_network=trained)
    whole = _layers(pipeline, "a red heart")

    def pieces(layers: Layers) -> int:
        count, _ = cv2.connectedComponents(_outline(layers).astype(np.uint8))
        return int(count) - 1

    assert all(pieces(layers) <= 2 for layers in whole)
    assert all(pieces(layers) > 10 for layers in ragged)


def test_more_frames_than_memory_should_hold_are_refused(pipeline: SceneVideoPipeline) -> None:
    with pytest.raises(ValueError, match="ask for layers"):
        pipeline("a ball", height=720, width=1280, num_frames=192)


def test_a_finished_clip_is_put_together_chunk_by_chunk_at_its_own_size(
    generator: DiffusersGenerator,
) -> None:
    request = _request(seconds=8, width=1280, height=720)
    clip = generator.generate(request, on_progress=_silent)
    assert isinstance(clip.frames, Composed)
    assert clip.frame_count == 192
    chunk = next(iter(clip.frames))
    assert chunk.shape == (16, 720, 1280, 3)
    assert np.ptp(chunk[0]) > 50


class Cancelled(Exception):
    """What a caller raises to stop."""


def test_raising_in_the_progress_call_stops_the_drawing_at_once(
    generator: DiffusersGenerator,
) -> None:
    calls: list[int] = []

    def cancel(done: int, total: int) -> None:
        calls.append(done)
        raise Cancelled

    with pytest.raises(Cancelled):
        generator.generate(_request(), on_progress=cancel)
    assert calls == [1]


def test_altered_weights_are_refused_before_they_are_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "embedded"
    shutil.copytree(FOLDER, folder)
    path = folder / "sprite_network" / "diffusion_pytorch_model.safetensors"
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    altered = DiffusersGenerator(folder, read_card(folder))
    with pytest.raises(WeightsMissing):
        altered.generate(_request(), on_progress=_silent)


@pytest.mark.parametrize(
    ("changes", "param"),
    [({"width": 360, "height": 640}, "size"), ({"seconds": 5}, "seconds")],
)
def test_portrait_and_odd_lengths_are_refused_with_what_is_possible(
    generator: DiffusersGenerator, changes: dict[str, int], param: str
) -> None:
    with pytest.raises(UnsupportedRequest) as caught:
        generator.generate(_request(**changes), on_progress=_silent)
    assert caught.value.param == param
    assert ("640x360" if param == "size" else "2, 4, 8") in caught.value.message


def test_a_negative_prompt_changes_the_clip(pipeline: SceneVideoPipeline) -> None:
    plain, against = (
        pipeline(
            "a ball",
            negative_prompt=negative,
            num_inference_steps=3,
            num_frames=2,
            height=45,
            width=80,
            generator=torch.Generator().manual_seed(1),
        ).frames
        for negative in (None, "a night sky")
    )
    assert not np.array_equal(plain, against)


def test_the_card_says_what_the_model_is_and_is_not(generator: DiffusersGenerator) -> None:
    card = generator.card
    assert card.demonstration
    assert "interpolat" in card.interpolation
    assert "simulator" in card.training_data
    assert card.licence == "Apache-2.0"
