"""Draws the contact sheet of 48 fixed prompts: `python -m generator.training.sheet`.

Every clip is the first the model draws for its prompt, with the prompt's number as the seed;
none is chosen or left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from generator.cards import read_card
from generator.compositor import Composed, Layers
from generator.embedded import FOLDER, SceneVideoOutput, SceneVideoPipeline, register
from generator.training.captions_fixed import PROMPTS

COLUMNS, CLIPS_PER_ROW = 3, 4  # frames shown of a clip; clips side by side
WIDTH, HEIGHT, TITLE = 160, 90, 16
QUALITY = 82


def draw(pipeline: SceneVideoPipeline, steps: int, guidance: float) -> NDArray[np.uint8]:
    """The sheet uint8[H,W,3] RGB: of each clip the frames at its start, middle and end."""
    tiles = []
    for number, prompt in enumerate(PROMPTS):
        made = pipeline(
            prompt,
            num_inference_steps=steps,
            guidance_scale=guidance,
            output_type="layers",
            generator=torch.Generator().manual_seed(number),
        )
        assert isinstance(made, SceneVideoOutput)
        layers = made.frames[0]
        assert isinstance(layers, Layers)
        whole = Composed(layers=layers, width=WIDTH, height=HEIGHT, frame_count=COLUMNS)
        strip = np.concatenate(list(whole.at(COLUMNS)), axis=1)
        title = np.full((TITLE, strip.shape[1], 3), 250, np.uint8)
        plain = prompt.translate(str.maketrans("éèêûöüäñáúíÉ", "eeeuouanauiE"))
        cv2.putText(
            title, plain, (3, 11), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (30, 30, 30), 1, cv2.LINE_AA
        )
        tile = np.concatenate([title, strip], axis=0)
        tiles.append(np.pad(tile, ((0, 4), (0, 6), (0, 0)), constant_values=250))
    rows = [
        np.concatenate(tiles[start : start + CLIPS_PER_ROW], axis=1)
        for start in range(0, len(tiles), CLIPS_PER_ROW)
    ]
    return np.concatenate(rows, axis=0)


def main() -> None:
    """Reads the command line and writes the sheet as a JPEG."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=FOLDER)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    register()
    pipeline = SceneVideoPipeline.from_pretrained(
        options.weights, dtype=torch.float32, local_files_only=True, low_cpu_mem_usage=False
    )
    pipeline.set_progress_bar_config(disable=True)
    sampling = read_card(options.weights).sampling
    sheet = draw(pipeline, sampling.steps, sampling.guidance)
    cv2.imwrite(str(options.out), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


if __name__ == "__main__":
    main()
