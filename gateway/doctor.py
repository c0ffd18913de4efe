"""The doctor: asks every part whether it could say yes, and which weights it stands on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import structlog

from gateway.app import Gateway
from gateway.census import Census, census
from gateway.db import DATABASE_AWAY
from gateway.errors import ConfigurationFault, Error, StageUnavailable
from gateway.logs import trace
from gateway.readiness import FRESH_SECONDS, Check, Probe
from gateway.schema import current, head
from generator.errors import WeightsMissing as ModelWeightsMissing
from safety.adapters.faults import AdapterFault
from safety.cards import WeightsCard
from safety.cards import WeightsMissing as JudgeWeightsMissing
from safety.moderation import PromptModerator
from safety.verdict import Action
from watermark.learned.weights import WeightsRefused as MarkWeightsRefused
from watermark.payload import Payload

log = structlog.get_logger(part="doctor")

# What only asks the database is asked more often than what moves bytes or runs a model.
BRISK_SECONDS = 2.0
JUDGING_SECONDS = 60.0
OUTBOX_SECONDS = 60.0
SLOW_PARTS = ("prompts", "frames", "models", "watermark")
BRISK_PARTS = ("database", "log")
# An ordinary prompt: a gate that does not allow it cannot allow anything.
PROBE_PROMPT = "a red ball on a green meadow"
PROBE_FRAMES = np.full((1, 64, 64, 3), 127, dtype=np.uint8)
PROBE_CLIP = np.full((1, 144, 256, 3), 127, dtype=np.uint8)
JUDGE_WEIGHTS = Path(__file__).resolve().parent.parent / "safety" / "weights"


def readiness(gateway: Gateway) -> tuple[Check, ...]:
    """Try each part that must say yes before a clip can be released.

    The gates are asked about something harmless, the models' weights are hashed, the database
    and the log are looked at, and an object is written, read and deleted in each store. It
    takes seconds the first time, and as long as a database hangs.
    """
    return tuple(_check(part, ask) for part, ask in _parts(gateway).items())


def probes(gateway: Gateway) -> tuple[Probe, ...]:
    """What a running service is asked: ``readiness``, and whether others do their work.

    No worker need live for clips to be looked up, fetched and verified, so a balancer must
    not take the service away for want of one.
    """
    return (
        *(
            Probe(
                part=part,
                ask=partial(_check, part, ask),
                fresh=BRISK_SECONDS if part in BRISK_PARTS else FRESH_SECONDS,
                patience=JUDGING_SECONDS if part in SLOW_PARTS else 0.0,
            )
            for part, ask in _parts(gateway).items()
        ),
        Probe(
            part="outbox",
            ask=partial(_check, "outbox", lambda: _outbox(gateway)),
            fresh=BRISK_SECONDS,
        ),
        Probe(
            part="workers",
            ask=partial(_check, "workers", lambda: _workers(gateway), needed=False),
            fresh=BRISK_SECONDS,
            needed=False,
        ),
    )


def _parts(gateway: Gateway) -> dict[str, Callable[[], object]]:
    return {
        "settings": lambda: _settings(gateway),
        "database": lambda: _database(gateway),
        "log": lambda: _log(gateway),
        "policy": lambda: gateway.policy,
        "prompts": lambda: _prompts(gateway),
        "frames": lambda: _frames(gateway),
        "models": lambda: _models(gateway),
        "watermark": lambda: _watermark(gateway),
        "signing": lambda: _signing(gateway),
        "vault": lambda: gateway.vault.probe(),
        "released": lambda: gateway.released.probe(),
    }


def moderators(gateway: Gateway) -> tuple[Check, ...]:
    """Ask each moderator by itself about something harmless; it need not find it so.

    Not part of ``readiness``: a guard of others may be slow, and a service cost money.
    """
    try:
        asked = gateway.prompts.moderators
    except Exception:  # noqa: BLE001 - ``readiness`` says what is wrong with the gate
        return ()
    return tuple(_check(f"moderator {_called(one)}", partial(_moderator, one)) for one in asked)


def weights(gateway: Gateway) -> dict[str, str]:
    """Every weights file that the cards name, with its SHA-256 in hex."""
    found: dict[str, str] = {}
    for folder in sorted(path.parent for path in JUDGE_WEIGHTS.glob("*/card.toml")):
        card = WeightsCard.load(folder)
        found |= {f"{card.label}/{name}": digest for name, digest in card.files.items()}
    for name, model in gateway.cards.items():
        found |= {f"{name}@{model.version}/{w.file}": w.sha256 for w in model.weights}
    mark = gateway.settings.watermark
    if mark.weights is not None and mark.weights_sha256 is not None:
        found[f"{mark.engine}/{mark.weights.name}"] = mark.weights_sha256
    return found


def _check(part: str, ask: Callable[[], object], *, needed: bool = True) -> Check:
    told = partial(Check, part=part, needed=needed)
    try:
        ask()
    except Error as fault:
        return told(problem=fault.message)
    except DATABASE_AWAY as fault:
        log.error("database.away", part=part, trace=trace(fault))
        return told(problem="The database does not answer.")
    except (
        AdapterFault,
        JudgeWeightsMissing,
        ModelWeightsMissing,
        MarkWeightsRefused,
    ) as fault:
        return told(problem=str(fault))
    except Exception as fault:  # noqa: BLE001 - any fault of a part means it is not ready
        log.error("check.failed", part=part, trace=trace(fault))
        return told(problem=f"It failed: {type(fault).__name__}.")
    return told()


def _settings(gateway: Gateway) -> None:
    if faults := gateway.settings.production_faults():
        raise ConfigurationFault("; ".join(faults))


def _database(gateway: Gateway) -> None:
    if current(gateway.settings.database) != head():
        raise ConfigurationFault("The schema is of another release: run 'cinegate migrate'.")


def _log(gateway: Gateway) -> None:
    if gateway.sequencer.fault is not None:
        raise StageUnavailable("The audit log cannot be written or signed.")
    gateway.log.checkpoint()


def _census(gateway: Gateway) -> Census:
    return census(gateway.database, gateway.clock())


def _outbox(gateway: Gateway) -> None:
    if not gateway.sequencer.running:
        raise StageUnavailable("Nothing here moves events into the audit log.")
    if (age := _census(gateway).oldest_outbox_event_seconds) > OUTBOX_SECONDS:
        raise StageUnavailable(f"An event has waited {age:.0f} seconds for the audit log.")


def _workers(gateway: Gateway) -> None:
    if _census(gateway).living_workers == 0:
        raise StageUnavailable("No worker is alive, so clips wait.")


def _signing(gateway: Gateway) -> None:
    # Loaded once; it may end while the process runs.
    if gateway.signature.identity.days_left(gateway.clock()) <= 0:
        raise ConfigurationFault("The signing certificate has expired.")


def _prompts(gateway: Gateway) -> None:
    (verdict,) = gateway.prompts.judge([PROBE_PROMPT])
    if verdict.action is not Action.ALLOW:
        raise StageUnavailable(f"An ordinary prompt is stopped: {verdict.reasons[0].text}")


def _called(moderator: PromptModerator) -> str:
    try:
        return moderator.name
    except Exception:  # noqa: BLE001 - asking it next says why
        return type(moderator).__name__


def _moderator(moderator: PromptModerator) -> None:
    (answer,) = moderator.score([PROBE_PROMPT])
    if not all(0.0 <= answer.scores.get(c, -1.0) <= 1.0 for c in moderator.promises):
        raise StageUnavailable("It does not judge an ordinary prompt, so it holds every one.")


def _frames(gateway: Gateway) -> None:
    verdict = gateway.frames.judge([PROBE_FRAMES], fps=1.0)
    if verdict.action is not Action.ALLOW:
        raise StageUnavailable(f"An empty picture is stopped: {verdict.reasons[0].text}")


def _watermark(gateway: Gateway) -> None:
    marked = gateway.watermarker.embed([PROBE_CLIP], Payload(clip_id=0), fps=1.0)
    if [chunk.shape for chunk in marked] != [PROBE_CLIP.shape]:
        raise StageUnavailable("A grey picture cannot be marked.")


def _models(gateway: Gateway) -> None:
    for name, card in gateway.cards.items():
        card.verify(gateway.model_folders[name])
