"""The judges: the policy and the gates of this instance, built from the settings."""

from __future__ import annotations

from gateway.errors import ConfigurationFault
from gateway.settings import Settings
from safety.assembly import AssemblyInvalid
from safety.frames import FrameGate
from safety.moderation import PromptGate, PromptModerator
from safety.negative import NegativeTermsInvalid
from safety.nudity import NsfwJs, OpenNsfw
from safety.policy import POLICY_PATH, Policy, PolicyInvalid
from safety.rules import RuleBook, RuleModerator, RulesInvalid
from safety.submission import SubmissionGate
from safety.text_model import UseModerator

UNREADABLE_RULES = "The rules of the prompt gate cannot be read."


def policy_in_force(settings: Settings) -> Policy:
    """The operator's policy, or the one that is shipped. Raises ConfigurationFault."""
    try:
        return Policy.load(settings.policy or POLICY_PATH)
    except PolicyInvalid as fault:
        raise ConfigurationFault(f"The policy cannot be used. {fault}") from fault


def prompt_moderators() -> tuple[PromptModerator, ...]:
    """Who is asked about a prompt. Weights are loaded on first use, not here."""
    try:
        rules = RuleModerator(book=RuleBook.load())
    except RulesInvalid as fault:
        raise ConfigurationFault(UNREADABLE_RULES) from fault
    return (rules, UseModerator())


def prompt_gate(policy: Policy) -> PromptGate:
    """The gate before anything is made. Raises ConfigurationFault."""
    return PromptGate(moderators=prompt_moderators(), policy=policy)


def submission_gate(gate: PromptGate) -> SubmissionGate:
    """The prompt gate for whole requests. Raises ConfigurationFault."""
    try:
        return SubmissionGate(gate=gate)
    except (AssemblyInvalid, NegativeTermsInvalid) as fault:
        raise ConfigurationFault(UNREADABLE_RULES) from fault


def frame_gate(policy: Policy) -> FrameGate:
    """The gate before anything is marked."""
    return FrameGate(classifiers=(OpenNsfw(), NsfwJs()), policy=policy)
