"""Registered logos in pictures, found again by local features.

An operator registers reference logos, one PNG per subject of ``ip_character_brand``. A picture
is compared with each by SIFT features (D. Lowe, IJCV 2004; the patent ended in 2020), a
homography by RANSAC, and a look at the pixels under the logo. No logo comes with this project.

Cost of one 720p picture: the features once, then each logo; both are bounded by ``MAX_LOGOS``,
``FRAME_FEATURES`` and ``LOGO_FEATURES``.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from safety.gazetteer import GazetteerInvalid, require_subject
from safety.moderation import Named
from safety.pictures import PictureScores
from safety.sampling import Frame, Frames, check_frames
from safety.verdict import Category

MAX_LOGOS = 64
MAX_LOGO_BYTES = 4 * 1024**2
MAX_LOGO_PIXELS = 4096 * 4096
LOGO_SIDE = 240
LOGO_FEATURES = 200
MIN_LOGO_FEATURES = 20
LIGHT = 150
FRAME_SIDE = 540
LONGEST_SIDE = 1280
FRAME_FEATURES = 3000

RATIO = 0.82
"""How much nearer the best match must be than the second, in the same picture."""

MIN_AGREEING = 7
REPROJECTION_PIXELS = 3.0
MIN_LIKENESS, SURE_LIKENESS = 0.6, 0.7
MIN_SIDE_PIXELS = 12.0
MAX_SQUEEZE = 2.5
HELD, SURE = 0.7, 0.95

Descriptors = NDArray[np.float32]


class LogoUnusable(Exception):
    """Raised for a logo that cannot be registered; the text says why and names the subject."""


@dataclass(frozen=True, kw_only=True)
class Logo:
    """One registered logo, as dark on light and as light on dark.

    ``grey`` uint8[H,W] with its longest side LOGO_SIDE, ``points`` float32[N,2] in its pixels,
    ``descriptors`` float32[N,128]; ``digest`` is the SHA-256 of the file.
    """

    subject: str
    digest: str
    grey: NDArray[np.uint8]
    variants: tuple[tuple[NDArray[np.float32], Descriptors], ...]

    @classmethod
    def parse(cls, subject: str, content: bytes) -> Logo:
        """Reads a picture file; raises LogoUnusable when it is no logo to look for."""
        try:
            require_subject(Category.IP_CHARACTER_BRAND, subject)
        except GazetteerInvalid as error:
            raise LogoUnusable(f"{subject!r} is no id of a subject.") from error
        grey = _grey_logo(subject, content)
        variants = tuple(_features(each, LOGO_FEATURES) for each in (grey, 255 - grey))
        if min(len(points) for points, _ in variants) < MIN_LOGO_FEATURES:
            raise LogoUnusable(f"The logo of {subject} is too plain to be found again.")
        digest = hashlib.sha256(content).hexdigest()
        return cls(subject=subject, digest=digest, grey=grey, variants=variants)


def read_logos(folder: Path) -> tuple[Logo, ...]:
    """The logos in ``folder``, one ``SUBJECT.png`` each; raises LogoUnusable."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".png")
        return tuple(Logo.parse(path.stem, path.read_bytes()) for path in paths)
    except OSError as error:
        raise LogoUnusable("The folder of logos cannot be read.") from error


@dataclass(frozen=True, kw_only=True)
class LogoPlace:
    """A logo found in a picture: how many features agree, how alike the pixels are (-1..1)."""

    subject: str
    score: float
    agreeing: int
    likeness: float
    corners: NDArray[np.float32]


class LogoMatcher:
    """Looks for the registered logos; names them as subjects of ``ip_character_brand``.

    Without logos nothing is judged, so ``categories`` is empty and rows hold no score.
    """

    def __init__(self, logos: Sequence[Logo]) -> None:
        if len(logos) > MAX_LOGOS:
            raise ValueError(f"At most {MAX_LOGOS} logos can be looked for.")
        if len({logo.subject for logo in logos}) < len(logos):
            raise ValueError("Each subject has one logo.")
        self._logos = tuple(logos)
        known = "".join(f"{logo.subject} {logo.digest}\n" for logo in self._logos)
        self.name = f"logos@1.0.0+{hashlib.sha256(known.encode()).hexdigest()[:12]}"
        self.categories = frozenset({Category.IP_CHARACTER_BRAND} if logos else ())

    def load(self) -> None:
        """Nothing is left to open: logos are read when they are registered."""

    def score(self, frames: Frames) -> Sequence[PictureScores]:
        """One row per picture of ``frames`` (uint8[T,H,W,3], RGB); a found logo is named.

        Raises ValueError for a wrong array.
        """
        check_frames(frames)
        return tuple(self._row(frame) for frame in frames)

    def places(self, frame: Frame) -> tuple[LogoPlace, ...]:
        """The logos in ``frame`` (uint8[H,W,3], RGB), each at its clearest place."""
        if not self._logos:
            return ()
        grey, scale = _grey_frame(frame)
        points, descriptors = _features(grey, FRAME_FEATURES)
        if len(points) < MIN_AGREEING:
            return ()
        found = (_find(logo, grey, points, descriptors, scale) for logo in self._logos)
        return tuple(place for place in found if place is not None)

    def _row(self, frame: Frame) -> PictureScores:
        named = tuple(
            Named(
                category=Category.IP_CHARACTER_BRAND, subject=place.subject, score=place.score
            )
            for place in self.places(frame)
        )
        return PictureScores(scores=dict.fromkeys(self.categories, 0.0), named=named)


def _grey_logo(subject: str, content: bytes) -> NDArray[np.uint8]:
    """The logo on a ground it stands out from, its longest side LOGO_SIDE."""
    if len(content) > MAX_LOGO_BYTES:
        raise LogoUnusable(f"The logo of {subject} is too large.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=("PNG",)) as picture:
                if picture.width * picture.height > MAX_LOGO_PIXELS:
                    raise LogoUnusable(f"The logo of {subject} is too large.")
                pixels = np.asarray(picture.convert("RGBA"), np.float32)
    except LogoUnusable:
        raise
    except Exception as error:
        raise LogoUnusable(f"The logo of {subject} cannot be read.") from error
    alpha = pixels[..., 3:] / 255
    shown = (alpha[..., 0] > 0.1).nonzero()
    if not len(shown[0]):
        raise LogoUnusable(f"The logo of {subject} is empty.")
    ground = 0.0 if pixels[shown][:, :3].mean() > LIGHT else 255.0
    grounded = (pixels[..., :3] * alpha + ground * (1 - alpha)).astype(np.uint8)
    rows, columns = shown
    cut = grounded[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    grey = cv2.cvtColor(np.ascontiguousarray(cut), cv2.COLOR_RGB2GRAY)
    scale = LOGO_SIDE / max(grey.shape)
    size = (max(8, round(grey.shape[1] * scale)), max(8, round(grey.shape[0] * scale)))
    sized = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return np.asarray(sized, np.uint8)


def _grey_frame(frame: Frame) -> tuple[NDArray[np.uint8], float]:
    high, wide = frame.shape[:2]
    scale = min(1.0, FRAME_SIDE / min(high, wide), LONGEST_SIDE / max(high, wide))
    size = (max(1, round(wide * scale)), max(1, round(high * scale)))
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8), scale


def _features(grey: NDArray[np.uint8], most: int) -> tuple[NDArray[np.float32], Descriptors]:
    """Points float32[N,2] and RootSIFT descriptors float32[N,128] (Arandjelovic 2012)."""
    finder = cv2.SIFT.create(nfeatures=most, contrastThreshold=0.03)
    keypoints, raw = finder.detectAndCompute(grey, None)
    if raw is None:
        return np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32)
    points = np.array([keypoint.pt for keypoint in keypoints[:most]], np.float32)
    rows = np.asarray(raw[:most], np.float32)
    return points, np.sqrt(rows / np.maximum(rows.sum(1, keepdims=True), 1e-6))


def _find(
    logo: Logo,
    grey: NDArray[np.uint8],
    points: NDArray[np.float32],
    descriptors: Descriptors,
    scale: float,
) -> LogoPlace | None:
    best: LogoPlace | None = None
    for inverted, (own, known) in enumerate(logo.variants):
        source, target = _pairs(own, known, points, descriptors)
        for matrix, agreeing in _views(source, target):
            corners = _corners(logo, matrix)
            if corners is None:
                continue
            likeness = _likeness(logo, grey, matrix) * (-1 if inverted else 1)
            if likeness >= MIN_LIKENESS and (best is None or likeness > best.likeness):
                sure = agreeing >= 2 * MIN_AGREEING and likeness >= SURE_LIKENESS
                best = LogoPlace(
                    subject=logo.subject,
                    score=SURE if sure else HELD,
                    agreeing=agreeing,
                    likeness=likeness,
                    corners=corners / np.float32(scale),
                )
    return best


def _views(
    source: NDArray[np.float32], target: NDArray[np.float32]
) -> Iterator[tuple[NDArray[np.float64], int]]:
    """Maps from the logo to the picture, float64[3,3], with how many points agree.

    A map without perspective is tried too: points along one line of writing do not tell the
    perspective.
    """
    if len(source) < MIN_AGREEING:
        return
    perspective, agree = cv2.findHomography(source, target, cv2.RANSAC, REPROJECTION_PIXELS)
    flat, agree_flat = cv2.estimateAffine2D(
        source, target, method=cv2.RANSAC, ransacReprojThreshold=REPROJECTION_PIXELS
    )
    if flat is not None:
        flat = np.vstack([flat, [0.0, 0.0, 1.0]])
    for matrix, agreed in ((perspective, agree), (flat, agree_flat)):
        if matrix is not None and np.isfinite(matrix).all() and agreed.sum() >= MIN_AGREEING:
            yield matrix, int(agreed.sum())


def _pairs(
    own: NDArray[np.float32],
    known: Descriptors,
    points: NDArray[np.float32],
    descriptors: Descriptors,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Matching points of logo and picture, float32[N,2] each."""
    # Descriptors have length 1: the squared distance is 2 - 2 times the product.
    apart = np.maximum(2 - 2 * (known @ descriptors.T), 0)
    nearest = np.argpartition(apart, 1, axis=1)[:, :2]
    rows = np.arange(len(known))
    two = np.sort(apart[rows[:, None], nearest], axis=1)
    first = apart.argmin(1)
    clear = two[:, 0] < RATIO**2 * two[:, 1]
    return own[clear], points[first[clear]]


def _corners(logo: Logo, matrix: NDArray[np.float64]) -> NDArray[np.float32] | None:
    """Where the logo's corners are, float32[4,2]; None for a shape no camera makes."""
    high, wide = logo.grey.shape
    square = np.array([[[0, 0]], [[wide, 0]], [[wide, high]], [[0, high]]], np.float32)
    corners = cv2.perspectiveTransform(square, matrix)[:, 0]
    sides = np.roll(corners, -1, axis=0) - corners
    following = np.roll(sides, -1, axis=0)
    turns = sides[:, 0] * following[:, 1] - sides[:, 1] * following[:, 0]
    lengths = np.hypot(sides[:, 0], sides[:, 1])
    # What becomes of a small square at two opposite corners: how far it is squeezed.
    squares = [np.column_stack([sides[i] / wide, sides[i + 1] / high]) for i in (0, 2)]
    longest, shortest = np.linalg.svd(squares, compute_uv=False).T
    sound = (turns > 0).all() and (longest < MAX_SQUEEZE * np.maximum(shortest, 1e-6)).all()
    if sound and lengths.max() >= MIN_SIDE_PIXELS:
        return np.asarray(corners, np.float32)
    return None


def _likeness(logo: Logo, grey: NDArray[np.uint8], matrix: NDArray[np.float64]) -> float:
    """The correlation of the logo's pixels with those under it, -1..1; 0 for flat ones."""
    high, wide = logo.grey.shape
    flags = cv2.INTER_AREA | cv2.WARP_INVERSE_MAP
    under = cv2.warpPerspective(
        grey, matrix, (wide, high), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    one, other = (
        cv2.GaussianBlur(each, (0, 0), 2.0).astype(np.float64).ravel()
        for each in (logo.grey, under)
    )
    one, other = one - one.mean(), other - other.mean()
    size = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / size if size > 1.0 else 0.0
