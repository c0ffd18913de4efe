"""What can go wrong when a clip is made.

GenerationError
├── UnsupportedRequest   the model cannot make what was asked; the sentence says what it can
└── WeightsMissing       the model's files are absent or are not the ones its card names
"""

from __future__ import annotations


class GenerationError(Exception):
    """The clip was not made. The text is a sentence for people, without prompt or path."""


class UnsupportedRequest(GenerationError):
    """A request this model cannot serve; `param` names the offending field."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param
        self.message = message


class WeightsMissing(GenerationError):
    """Weights are missing, altered or unreadable; nothing was loaded."""


__all__ = ["GenerationError", "UnsupportedRequest", "WeightsMissing"]
