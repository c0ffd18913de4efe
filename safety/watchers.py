"""Watchers: judges that see every frame of a clip, for what only the whole run shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from safety.flashes import FlashWatch
from safety.sampling import Frames
from safety.verdict import Category


@dataclass(frozen=True, kw_only=True)
class Span:
    """What was seen between two times of a clip, in seconds; ``score`` in 0..1."""

    category: Category
    start: float
    end: float
    score: float


class Watch(Protocol):
    """Sees every frame of one clip, once, in order."""

    def see(self, frames: Frames) -> None:
        """The next chunk of the clip, uint8[T,H,W,3], RGB."""
        ...

    def spans(self) -> Sequence[Span]:
        """What was seen, after the last chunk."""
        ...


class FrameWatcher(Protocol):
    """Begins a watch for each clip. ``name`` is ``name@version``, a judge of the verdict."""

    @property
    def name(self) -> str: ...

    @property
    def categories(self) -> frozenset[Category]:
        """The categories that it judges: 0 wherever it sees nothing."""
        ...

    def begin(self, *, fps: float) -> Watch:
        """A watch for one clip."""
        ...


class FlashingLight:
    """Watches for flashes that can bring on a seizure (WCAG 2.2, 2.3.1); see safety.flashes."""

    name = "flashes@1"
    categories = frozenset({Category.FLASHING_LIGHT})

    def begin(self, *, fps: float) -> Watch:
        """A watch for one clip; raises ValueError for a frame rate that makes no sense."""
        return _Flashes(FlashWatch(fps=fps))


@dataclass(frozen=True)
class _Flashes:
    watch: FlashWatch

    def see(self, frames: Frames) -> None:
        self.watch.see(frames)

    def spans(self) -> Sequence[Span]:
        return tuple(
            Span(
                category=Category.FLASHING_LIGHT,
                start=event.start,
                end=event.end,
                score=event.score,
            )
            for event in self.watch.events()
        )


class Guarded:
    """A watch that never raises: what goes wrong in it is kept as the name of the error."""

    def __init__(self, watcher: FrameWatcher, *, fps: float) -> None:
        self.watcher = watcher
        self.error = ""
        self._watch: Watch | None = None
        try:
            self._watch = watcher.begin(fps=fps)
        except Exception as error:  # noqa: BLE001 - whatever a judge raises holds the clip
            self.error = type(error).__name__

    def see(self, frames: Frames) -> None:
        """Shows the frames to the watch, unless it has failed."""
        if self._watch is None or self.error:
            return
        try:
            self._watch.see(frames)
        except Exception as error:  # noqa: BLE001 - as above
            self.error = type(error).__name__

    def spans(self) -> tuple[Span, ...]:
        """What it saw; nothing when it has failed."""
        if self._watch is None or self.error:
            return ()
        try:
            found = tuple(self._watch.spans())
            if not all(isinstance(span, Span) for span in found):
                raise TypeError("A watch must answer with Span.")
        except Exception as error:  # noqa: BLE001 - as above
            self.error = type(error).__name__
            return ()
        return found
