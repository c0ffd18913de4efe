"""What keeps a moderator of others from being used, as errors for operators."""

from __future__ import annotations


class AdapterFault(Exception):
    """Raised when a moderator of others cannot be used; whoever asks it holds the prompt.

    The message is a sentence for operators: never a prompt, a path or a key in it.
    """


class GuardRefused(AdapterFault):
    """The folder of a guard, its card or its labels are not what they must be."""


class ExtraMissing(AdapterFault):
    """The packages that run guards are not installed."""


class ServiceFailed(AdapterFault):
    """A moderation service gave no answer that can be used."""
