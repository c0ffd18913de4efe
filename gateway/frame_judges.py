"""The judges of frames: which of them this instance runs, built from the settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from gateway.errors import ConfigurationFault
from gateway.settings import FrameJudges, Settings
from safety.adapters.faults import AdapterFault
from safety.adapters.picture_model import picture_model
from safety.face_judge import FaceJudge
from safety.frames import FrameClassifier, FrameGate
from safety.hash_list import HashListJudge, HashLists
from safety.likeness import FaceRegistry
from safety.logos import LogoMatcher, LogoUnusable, read_logos
from safety.moderation import PromptModerator
from safety.nudity import NsfwJs, OpenNsfw
from safety.ocr import TextReader
from safety.picture_text import PictureTextJudge
from safety.policy import Policy
from safety.symbols import SymbolJudge
from safety.watchers import FlashingLight


def frame_gate(
    policy: Policy,
    moderators: Sequence[PromptModerator],
    lists: Callable[[], HashLists],
    people: Callable[[], FaceRegistry],
    settings: Settings,
) -> FrameGate:
    """The gate before anything is marked.

    ``moderators`` judge the text in pictures as they judge prompts, ``lists`` are the known
    pictures, ``people`` those who are recognised. Weights are loaded on first use, not here. A
    judge that is switched off leaves its categories without a score, so that the gate holds
    every clip, unless the policy says that they are not judged. Raises ConfigurationFault.
    """
    return FrameGate(
        classifiers=(
            OpenNsfw(),
            NsfwJs(),
            *_ours(settings.frames, tuple(moderators), people),
            HashListJudge(lists=lists),
            *_others(settings),
        ),
        watchers=(FlashingLight(),),
        policy=policy,
    )


def _ours(
    chosen: FrameJudges,
    moderators: tuple[PromptModerator, ...],
    people: Callable[[], FaceRegistry],
) -> Iterator[FrameClassifier]:
    if chosen.faces:
        yield FaceJudge(registry=people)
    if chosen.text:
        yield PictureTextJudge(reader=TextReader(), moderators=moderators)
    if chosen.symbols:
        yield SymbolJudge()
    if chosen.logos is not None:
        try:
            yield LogoMatcher(read_logos(chosen.logos))
        except LogoUnusable as fault:
            raise ConfigurationFault(f"The logos cannot be used. {fault}") from fault


def _others(settings: Settings) -> Iterator[FrameClassifier]:
    for number, other in enumerate(settings.picture_models, start=1):
        try:
            yield picture_model(other)
        except AdapterFault as fault:
            told = f"Picture model {number} cannot be used. {fault}"
            raise ConfigurationFault(told) from fault
