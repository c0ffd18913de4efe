"""Hostile files: the parent lives, and failure is never mistaken for absence."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.media.limits import MediaLimits, ProcessLimits
from gateway.media.sandbox import (
    Child,
    Unreadable,
    UntrustedVideo,
    decode_untrusted,
    probe,
    run_limited,
)
from tests.data.hostile import clips

Maker = Callable[[Path], Path]
EXPECTED = [
    *((maker, "not_media") for maker in clips.NOT_MEDIA),
    *((maker, "broken") for maker in clips.BROKEN),
    *((maker, "too_large") for maker in clips.TOO_LARGE),
    *((maker, "unsupported") for maker in clips.UNSUPPORTED),
]


def read(path: Path, limits: MediaLimits | None = None) -> tuple[UntrustedVideo, np.ndarray]:
    with decode_untrusted(path, limits) as video:
        return video, np.concatenate(list(video.chunks))


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_good_clip_is_read_in_full(tmp_path: Path) -> None:
    video, frames = read(clips.good(tmp_path))
    assert frames.shape == (30, 96, 160, 3)
    wanted = np.stack([clips.picture(i) for i in range(30)]).astype(float)
    assert np.abs(frames - wanted).mean() < 6
    assert video.looked_at == ((0.0, pytest.approx(30 / 24)),)
    assert (video.info.codec, video.info.container) == ("h264", "mp4")


def test_a_sound_track_beside_the_picture_is_passed_over(tmp_path: Path) -> None:
    _, frames = read(clips.with_sound(tmp_path))
    assert frames.shape == (30, 96, 160, 3)


@pytest.mark.parametrize(
    ("codec", "container", "name"),
    [
        ("libx265", "mp4", "hevc"),
        ("libsvtav1", "mp4", "av1"),
        ("mpeg4", "mov", "mpeg4"),
        ("libvpx", "webm", "vp8"),
        ("libvpx-vp9", "matroska", "vp9"),
    ],
)
def test_every_allowed_codec_is_read(
    tmp_path: Path, codec: str, container: str, name: str
) -> None:
    video, frames = read(clips.coded(tmp_path, codec, container))
    assert (video.info.codec, len(frames)) == (name, 30)
    assert video.info.container == ("mp4" if container in ("mp4", "mov") else "matroska")


def test_a_turned_clip_is_given_as_a_player_shows_it(tmp_path: Path) -> None:
    video, frames = read(clips.turned(tmp_path))
    assert (video.info.width, video.info.height) == (96, 160)
    assert frames.shape == (30, 160, 96, 3)
    corners = [frames[0, y, x].mean() for y in (5, -6) for x in (5, -6)]
    assert int(np.argmax(corners)) == 1  # the square went from top left to top right


@pytest.mark.parametrize(("maker", "reason"), EXPECTED, ids=lambda v: getattr(v, "__name__", v))
def test_a_hostile_file_is_refused_quickly_with_its_reason(
    tmp_path: Path, maker: Maker, reason: str
) -> None:
    path = maker(tmp_path)
    begun = time.monotonic()
    with pytest.raises(Unreadable) as refusal:
        read(path)
    assert refusal.value.reason == reason
    assert refusal.value.status == 422
    assert time.monotonic() - begun < 8


def test_a_long_clip_is_looked_at_in_places_that_are_named(tmp_path: Path) -> None:
    limits = MediaLimits(look_seconds=6, max_frames=90)
    video, frames = read(clips.many_frames(tmp_path), limits)
    assert len(frames) <= 90
    starts = [start for start, _ in video.looked_at]
    assert len(starts) == 3
    assert starts[0] == 0.0
    assert 20 < starts[1] < 30
    assert 40 < starts[2] < 50  # the clip lasts 50 seconds; a look begins at a key frame


def test_a_clip_whose_clock_lies_is_not_said_to_be_seen_for_hours(tmp_path: Path) -> None:
    video, frames = read(clips.lying_index(tmp_path))
    assert 1 <= len(frames) <= 30
    assert sum(end - start for start, end in video.looked_at) <= len(frames)


def test_a_file_above_the_size_limit_is_not_even_opened(tmp_path: Path) -> None:
    with pytest.raises(Unreadable) as refusal:
        probe(clips.good(tmp_path), MediaLimits(max_bytes=100))
    assert refusal.value.reason == "too_large"
    with pytest.raises(Unreadable):
        probe(tmp_path / "absent.mp4")
    with pytest.raises(Unreadable):
        probe(tmp_path)


def test_too_little_memory_or_time_is_unreadable_and_not_an_empty_clip(tmp_path: Path) -> None:
    path = clips.good(tmp_path, frames=60, width=640, height=480)
    tight = ProcessLimits(memory_bytes=40 * 1024**2)
    with pytest.raises(Unreadable):
        read(path, MediaLimits(process=tight))
    with pytest.raises(Unreadable) as refusal:
        read(path, MediaLimits(process=ProcessLimits(wall_seconds=0.01)))
    assert refusal.value.reason == "timeout"


def test_stopping_early_kills_the_child(tmp_path: Path) -> None:
    path = clips.good(tmp_path, frames=200, width=640, height=480)
    with decode_untrusted(path) as video:
        pid = video._child._process.pid
        chunks = video.chunks
        next(chunks)
        assert alive(pid)
        chunks.close()  # type: ignore[attr-defined]
        assert not alive(pid)
    assert not alive(pid)
    with decode_untrusted(path) as video:
        pid = video._child._process.pid
        for _ in video.chunks:
            break
    assert not alive(pid)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_a_mutated_clip_gives_frames_or_unreadable_only(seed: int, hits: int) -> None:
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = clips.good(Path(folder), frames=12)
        data = bytearray(path.read_bytes())
        for _ in range(hits):
            data[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(data)
        try:
            video, frames = read(path)
        except Unreadable:
            return
        assert frames.dtype == np.uint8
        assert video.looked_at


def script(body: str) -> Child:
    command = [sys.executable, "-c", f"import sys\n{body}"]
    return Child(subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0), 5.0)


INFO = (
    'print(\'{"kind": "info", "container": "mp4", "codec": "h264", "width": 64, "height": 64,'
    ' "fps": 24.0, "seconds": 1.0, "turns": 0}\', flush=True)\n'
)
FRAME = 'print(\'{"kind": "frame", "time": 0.0}\', flush=True)\n'
PICTURE = "sys.stdout.buffer.write(bytes(64*64*3)); sys.stdout.flush()\n"


def end(spans: str) -> str:
    return f'print(\'{{"kind": "end", "looked_at": {spans}}}\')\n'


def test_the_script_below_would_be_believed_if_it_told_the_truth() -> None:
    child = script(INFO + FRAME + PICTURE + end("[[0, 1]]"))
    with UntrustedVideo(child, MediaLimits()) as video:
        assert [chunk.shape for chunk in video.chunks] == [(1, 64, 64, 3)]
    assert video.looked_at == ((0.0, 1.0),)


@pytest.mark.parametrize(
    "lie",
    [
        "print('x' * 100000)",
        "print('[' * 4000)",
        "print('[]')",
        FRAME,
        INFO.replace("64", "1000000"),
        INFO.replace("64", "true"),
        INFO.replace("64", "64.0"),
        INFO.replace("24.0", "NaN"),
        INFO.replace("h264", "../../x"),
        INFO,
        INFO + INFO,
        INFO + end("[[0, 1]]"),
        INFO + FRAME,
        INFO + FRAME + PICTURE,
        INFO + FRAME + PICTURE + end("[]"),
        INFO + FRAME + PICTURE + end("[[0, Infinity]]"),
        INFO + FRAME + PICTURE + end("[[0, 1], [2, 3], [4, 5], [6, 7]]"),
        INFO + (FRAME + PICTURE) * 51 + end("[[0, 1]]"),
        'print(\'{"kind": "fault", "reason": "made_here"}\')',
    ],
)
def test_a_child_that_lies_is_not_believed(lie: str) -> None:
    limits = replace(MediaLimits(), max_frames=50)
    with pytest.raises(Unreadable), UntrustedVideo(script(lie), limits) as video:
        list(video.chunks)


def may_have_an_own_network() -> bool:
    """Whether this system lets a process leave the network; some containers do not."""
    body = "import ctypes,sys; c=ctypes.CDLL(None); a=c.unshare(0x40000000);"
    body += "sys.exit(a != 0 and c.unshare(0x50000000) != 0)"
    return subprocess.run([sys.executable, "-I", "-c", body], check=False).returncode == 0


def test_a_confined_command_has_no_secrets_no_network_and_writes_no_file(
    tmp_path: Path,
) -> None:
    os.environ["CINEGATE_TEST_SECRET"] = "hunter2"
    try:
        body = (
            "import os, socket\n"
            "print(sorted(os.environ), os.getcwd())\n"
            "try:\n socket.create_connection(('127.0.0.1', 9), 1)\n"
            "except OSError as fault:\n print(fault.errno)\n"
            f"try:\n f = open({str(tmp_path / 'out')!r}, 'wb', 0); f.write(b'x')\n"
            "except OSError as fault:\n print(fault.errno)\n"
        )
        done = run_limited([sys.executable, "-I", "-c", body])
    finally:
        del os.environ["CINEGATE_TEST_SECRET"]
    environment, network, written = done.stdout.decode().splitlines()
    assert "SECRET" not in environment
    assert environment.endswith("] /")
    if may_have_an_own_network():
        assert network != "111"  # not "connection refused": there is nothing to refuse it
    assert written == "27"  # EFBIG


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("while True: pass", "limit"),
        ("import time; time.sleep(60)", "timeout"),
        ("while True: print('x' * 1000)", "limit"),
        ("import os; os.abort()", "limit"),
    ],
)
def test_a_command_that_exceeds_its_limits_is_ended(body: str, reason: str) -> None:
    patience = 2.0 if reason == "timeout" else 60.0
    limits = ProcessLimits(cpu_seconds=1, wall_seconds=patience, output_bytes=100_000)
    begun = time.monotonic()
    with pytest.raises(Unreadable) as refusal:
        run_limited([sys.executable, "-I", "-c", body], limits=limits)
    assert refusal.value.reason == reason
    assert time.monotonic() - begun < 30


def test_a_confined_command_reads_its_standard_input_and_gives_its_exit_code(
    tmp_path: Path,
) -> None:
    path = tmp_path / "in"
    path.write_bytes(b"hello")
    body = "import sys; sys.stdout.write(sys.stdin.read().upper()); sys.exit(3)"
    done = run_limited([sys.executable, "-I", "-c", body], stdin=path)
    assert (done.stdout, done.returncode) == (b"HELLO", 3)
