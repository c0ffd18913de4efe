"""Camera motion: followed when it is one, ignored when it is not."""

from __future__ import annotations

import cv2
import numpy as np

from watermark.track import CameraTracker, compose, identity


def picture(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(128, 60, (60, 100)).astype(np.float32)
    return np.clip(cv2.resize(noise, (800, 480), interpolation=cv2.INTER_CUBIC), 0, 255)


def view(large: np.ndarray, left: float, top: float) -> np.ndarray:
    matrix = np.array([[1, 0, -left], [0, 1, -top]], dtype=np.float64)
    return np.rint(cv2.warpAffine(large, matrix, (640, 360))).astype(np.uint8)


def test_a_pan_is_followed_to_a_fraction_of_a_pixel() -> None:
    tracker, large, pose = CameraTracker(), picture(), identity()
    for step in range(20):
        motion = tracker.step(view(large, 3.0 * step, 1.5 * step))
        pose = compose(motion.matrix, pose)
    assert np.allclose(pose[:, 2], [-57, -28.5], atol=1.5)


def test_an_object_over_a_smooth_background_leaves_the_camera_still() -> None:
    tracker = CameraTracker()
    ground = np.broadcast_to(np.linspace(60, 190, 640, dtype=np.float32), (360, 640))
    spots = picture(3)[:120, :160]
    for step in range(12):
        frame = ground.copy()
        frame[100:220, 60 + 4 * step : 220 + 4 * step] = spots
        assert tracker.step(frame.astype(np.uint8)).still


def test_flicker_leaves_the_camera_still() -> None:
    tracker, rng = CameraTracker(), np.random.default_rng(4)
    for _ in range(12):
        noise = rng.normal(0, 5, (45, 80)).astype(np.float32)
        frame = 120 + cv2.resize(noise, (640, 360), interpolation=cv2.INTER_CUBIC)
        assert tracker.step(frame.astype(np.uint8)).still


def test_a_cut_is_noticed() -> None:
    tracker = CameraTracker()
    tracker.step(view(picture(1), 0, 0))
    assert tracker.step(view(picture(2), 0, 0)).cut


def test_frames_of_another_size_or_none_at_all_are_no_motion() -> None:
    tracker = CameraTracker()
    for shape in ((360, 640), (1, 1), (17, 3000), (360, 640)):
        assert tracker.step(np.zeros(shape, dtype=np.uint8)).still
