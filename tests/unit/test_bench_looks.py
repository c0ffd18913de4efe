"""The benchmark's figures and its memory: what they say is what was measured."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.bench.watermark import looks, table
from tests.bench.watermark.attacks_codec import transcoded
from tests.bench.watermark.cells import Row
from tests.bench.watermark.footage import Clip
from tests.bench.watermark.runner import State, Task

FPS = 24.0


def test_looks_find_the_strength_of_a_known_change() -> None:
    clip = np.full((7, 120, 160, 3), 100, dtype=np.uint8)
    clip[1:] += 1
    figures = looks.looks(clip, clip + np.uint8(2))
    assert figures["psnr"] == pytest.approx(42.11, abs=0.01)
    assert figures["flat_rms"] == pytest.approx(2.0)
    assert figures["ssim"] is not None
    assert figures["ssim"] > 0.99


def test_xpsnr_forgives_in_texture_what_it_minds_on_flat_ground() -> None:
    rng = np.random.default_rng(1)
    flat = np.full((2, 240, 320, 3), 120, dtype=np.uint8)
    rough = rng.integers(60, 180, flat.shape).astype(np.uint8)
    noise = rng.integers(-2, 3, flat.shape)
    scores = [
        looks.looks(c, np.clip(c + noise, 0, 255).astype(np.uint8)) for c in (flat, rough)
    ]
    assert scores[0]["psnr"] == pytest.approx(scores[1]["psnr"], abs=0.1)
    assert (scores[0]["xpsnr"] or 0) + 3 < (scores[1]["xpsnr"] or 0)


def test_xpsnr_is_that_of_ffmpeg(tmp_path: Path) -> None:
    y, x = np.mgrid[0:480, 0:854]
    wave = 120 + 60 * np.sin(x / 9) * np.sin(y / 40)
    one = np.stack([np.roll(wave, 3 * t, axis=1) for t in range(4)])
    clip = np.repeat(one[..., None], 3, axis=-1).astype(np.uint8)
    coded = transcoded(clip, FPS, 30)
    theirs = _ffmpeg(clip, coded, tmp_path / "log")[1:]
    # Ours starts at the second frame, theirs counts the first one against nothing.
    errors = [10 ** (-value / 20) for value in theirs]
    expected = -20 * np.log10(np.mean(errors))
    assert looks.looks(clip, coded, every=1)["xpsnr"] == pytest.approx(expected, abs=0.02)


def _ffmpeg(one: Clip, two: Clip, log: Path) -> list[float]:
    graph = av.filter.Graph()
    height, width = one.shape[1:3]
    sources = [
        graph.add_buffer(width=width, height=height, format="gray", time_base=Fraction(1, 24))
        for _ in range(2)
    ]
    measure, sink = graph.add("xpsnr", f"stats_file={log}"), graph.add("buffersink")
    for index, source in enumerate(sources):
        source.link_to(measure, 0, index)
    measure.link_to(sink)
    graph.configure()
    for index in range(len(one)):
        for source, clip in zip(sources, (one, two), strict=True):
            grey = cv2.cvtColor(clip[index], cv2.COLOR_RGB2GRAY)
            frame = av.VideoFrame.from_ndarray(grey, "gray")
            frame.pts, frame.time_base = index, Fraction(1, 24)
            source.push(frame)
    for source in sources:
        source.push(None)
    for _ in one:
        graph.pull()
    del graph, measure, sink, sources
    return [float(v) for v in re.findall(r"XPSNR y: *([\d.]+)", log.read_text())]


def test_a_run_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    first, second = Task(part="cell", clip="a"), Task(part="cell", clip="b")
    State(path).keep(first, [{"exact": True}])
    with path.open("a") as file:
        file.write('{"task": "cell|b||0", "ro')
    again = State(path)
    assert again.rows([first, second]) == [{"exact": True}]
    again.keep(second, [{"exact": False}])
    assert State(path).rows([first, second]) == [{"exact": True}, {"exact": False}]


def test_tasks_with_other_settings_have_other_names() -> None:
    tasks = [
        Task(part="cell", clip="a", attack="x"),
        Task(part="cell", clip="a", attack="x", crf=23),
        Task(part="null", index=1),
        Task(part="null", index=1, keys=4),
    ]
    assert len({task.name for task in tasks}) == len(tasks)


def cell(use: str, goal: str, *, exact: bool, registry: bool, wrong: bool = False) -> Row:
    return {
        "clip": "a",
        "attack": "crf30",
        "rank": "detailed" if goal != "90-registry" else "hard",
        "use": use,
        "goal": goal,
        "crf": None,
        "exact": exact,
        "registry": registry,
        "wrong": wrong,
        "bits": 1.0,
        "log10_p": -9.0,
        "registry_log10_p": None,
        "pilot": 6.0,
        "seconds": 1.0,
    }


def test_the_last_line_speaks_of_clips_never_tuned_on_and_counts_every_wrong_payload() -> None:
    rows = [
        cell("tune", "99", exact=True, registry=True, wrong=True),
        cell("report", "99", exact=False, registry=True),
        cell("report", "90-registry", exact=False, registry=True),
    ]
    said = table.plain(rows, {"certain": 1, "reads": 7})
    assert "goal 99 %: 0.0 % of 1" in said
    assert "goal 90-registry %: 100.0 % of 1" in said
    assert "certain: 1 of 3" in said
    assert "nulls: 1 of 7" in said


def test_a_goal_is_met_only_at_its_rate() -> None:
    good = cell("report", "99", exact=True, registry=True)
    bad = cell("report", "99", exact=False, registry=True)
    assert table.by_goal([good] * 99 + [bad])[0]["met"] is True
    assert table.by_goal([good] * 98 + [bad] * 2)[0]["met"] is False


def test_what_the_registry_loses_is_counted() -> None:
    rows = [cell("report", "99", exact=True, registry=False)]
    assert table.registry_gain(rows)["lost_by_registry"] == 1


def test_the_kept_file_has_one_row_for_each_cell(tmp_path: Path) -> None:
    path = tmp_path / "watermark.json"
    table.write(path, {"fingerprint": "f"}, [cell("report", "99", exact=True, registry=True)])
    kept = json.loads(path.read_text())
    assert dict(zip(kept["columns"], kept["cells"][0], strict=True))["exact"] == 1
