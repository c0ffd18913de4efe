"""The judges: the policy and the gates of this instance, built from the settings."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import assert_never

from gateway.errors import ConfigurationFault
from gateway.settings import GuardFolder, ModerationsEndpoint, Moderator, Settings
from safety.adapters.faults import AdapterFault
from safety.adapters.label_map import LabelMap
from safety.adapters.moderations_service import ModerationsService, ServiceKey
from safety.adapters.transformers_guard import TransformersGuard
from safety.assembly import AssemblyInvalid
from safety.gazetteer import Gazetteer
from safety.masking import NameMask
from safety.moderation import PromptGate, PromptModerator
from safety.negative import NegativeTermsInvalid
from safety.policy import POLICY_PATH, Policy, PolicyInvalid
from safety.rules import RuleBook, RuleModerator, RulesInvalid
from safety.shadow import Shadowed
from safety.submission import SubmissionGate
from safety.text_model import UseModerator

_log = logging.getLogger(__name__)
UNREADABLE_RULES = "The rules of the prompt gate cannot be read."


def policy_in_force(settings: Settings) -> Policy:
    """The operator's policy, or the one that is shipped. Raises ConfigurationFault.

    With a policy on trial in its shadow, if one is set. A trial that cannot be read is logged
    and left out: it must not keep the policy in force from working.
    """
    try:
        policy = Policy.load(settings.policy or POLICY_PATH)
    except PolicyInvalid as fault:
        raise ConfigurationFault(f"The policy cannot be used. {fault}") from fault
    if settings.shadow_policy is None:
        return policy
    try:
        return Shadowed.beside(policy, Policy.load(settings.shadow_policy))
    except PolicyInvalid as fault:
        _log.error("shadow.unreadable %s", fault)
        return policy


@lru_cache(maxsize=1)
def rule_book() -> RuleBook:
    """The shipped rules and names, read once. Raises ConfigurationFault."""
    try:
        return RuleBook.load()
    except RulesInvalid as fault:
        raise ConfigurationFault(UNREADABLE_RULES) from fault


def prompt_moderators(
    names: Callable[[], Gazetteer], others: Sequence[Moderator] = ()
) -> tuple[PromptModerator, ...]:
    """Who is asked about a prompt: our own two, then those that the settings add.

    Weights are loaded on first use, not here. Raises ConfigurationFault.
    """
    own = (RuleModerator(book=rule_book(), names=names), UseModerator())
    return (*own, *(_added(other, number) for number, other in enumerate(others, start=1)))


def _added(other: Moderator, number: int) -> PromptModerator:
    try:
        match other:
            case GuardFolder():
                guard = TransformersGuard(other.path, device=other.device, batch=other.batch)
                guard.check()
                return guard
            case ModerationsEndpoint():
                table = {"labels": other.labels, "benign": other.benign}
                return ModerationsService(
                    url=other.url,
                    model=other.model,
                    key=ServiceKey(file=other.key_file, variable=other.key_env),
                    labels=LabelMap.parse("openai", table),
                    timeout=other.timeout_seconds,
                    plain_http=other.plain_http,
                )
            case _:
                assert_never(other)
    except AdapterFault as fault:
        raise ConfigurationFault(f"Moderator {number} cannot be used. {fault}") from fault


def prompt_gate(
    policy: Policy, names: Callable[[], Gazetteer], others: Sequence[Moderator] = ()
) -> PromptGate:
    """The gate before anything is made, for the names in force. Raises ConfigurationFault."""
    moderators = prompt_moderators(names, others)
    return PromptGate(moderators=moderators, policy=policy, mask=NameMask(names=names))


def submission_gate(gate: PromptGate) -> SubmissionGate:
    """The prompt gate for whole requests. Raises ConfigurationFault."""
    try:
        return SubmissionGate(gate=gate)
    except (AssemblyInvalid, NegativeTermsInvalid) as fault:
        raise ConfigurationFault(UNREADABLE_RULES) from fault
