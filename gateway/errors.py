"""Every error a caller can see, as one tree.

Error
├── InvalidRequest        400  invalid_value        a field is missing, malformed or unsupported
│   └── PromptRefused     400  moderation_blocked   the prompt gate said no
├── NotAuthenticated      401  invalid_api_key
├── NotPermitted          403  not_permitted
├── NotFound              404  not_found            absent, or not yours
│   └── Withdrawn         410  video_withdrawn      it was released and then taken back
├── Conflict              409  conflict             the resource is not in the needed state
│   ├── AlreadyDecided    409  already_decided      a case is closed, or somebody else's now
│   └── SameReviewer      409  same_reviewer        the second person must be another one
├── TooLarge              413  clip_too_large
├── UnreadableClip        422  unreadable_clip
├── RateLimited           429  rate_limited
├── StageUnavailable      503  stage_unavailable    a stage cannot say yes; nothing is released
│   ├── Interrupted       503  interrupted          what it needs did not answer; tried again
│   └── ConfigurationFault 503 misconfigured        weights, keys or folders are not usable
└── InternalError         500  internal_error       anything else; a reference only

A message is one or more sentences for people. It never holds a prompt, a path or a key.
"""

from __future__ import annotations

from collections.abc import Mapping


class Error(Exception):
    """The root. ``status``, ``type`` and ``code`` belong to the class, the text to the case.

    ``param`` names the field at fault. ``extra`` goes into the error object beside the four
    standard fields. ``headers`` go into the HTTP answer.
    """

    status: int = 500
    type: str = "server_error"
    code: str = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        extra: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})

    def envelope(self) -> dict[str, object]:
        """The body ``{"error": {"message", "type", "param", "code", …}}``."""
        return {
            "error": {
                **self.extra,
                "message": self.message,
                "type": self.type,
                "param": self.param,
                "code": self.code,
            }
        }


class InvalidRequest(Error):
    """A field is missing, malformed or not supported."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_value"


class PromptRefused(InvalidRequest):
    """The prompt gate refused. ``extra`` names stage, categories and rules, never a score."""

    code = "moderation_blocked"


class NotAuthenticated(Error):
    """No key, an unknown key, or a revoked one."""

    status = 401
    type = "authentication_error"
    code = "invalid_api_key"


class NotPermitted(Error):
    """The caller is known and may not do this."""

    status = 403
    type = "permission_error"
    code = "not_permitted"


class NotFound(Error):
    """Nothing of that name belongs to the caller."""

    status = 404
    type = "not_found_error"
    code = "not_found"


class Withdrawn(NotFound):
    """The clip was released and then taken back; there is nothing to fetch any more."""

    status = 410
    code = "video_withdrawn"


class Conflict(Error):
    """The resource is not in the state that the call needs; a retry does not cure it."""

    status = 409
    type = "conflict_error"
    code = "conflict"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message, param=param, headers={"x-should-retry": "false"})


class AlreadyDecided(Conflict):
    """A case is closed, or not in the hands of whoever rules on it."""

    code = "already_decided"


class SameReviewer(Conflict):
    """Somebody who has ruled on a case cannot be the second one."""

    code = "same_reviewer"


class TooLarge(Error):
    """An upload or body is over its named limit."""

    status = 413
    type = "invalid_request_error"
    code = "clip_too_large"


class UnreadableClip(Error):
    """The media could not be examined within the limits. It says nothing about its origin."""

    status = 422
    type = "invalid_request_error"
    code = "unreadable_clip"


class RateLimited(Error):
    """Too many calls, or too many jobs waiting."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limited"

    def __init__(self, message: str, *, retry_after: int = 10) -> None:
        super().__init__(message, headers={"retry-after": str(retry_after)})


class StageUnavailable(Error):
    """A stage cannot say yes now. Nothing was released; the same call may succeed later."""

    status = 503
    code = "stage_unavailable"

    def __init__(self, message: str, *, retry_after: int = 30) -> None:
        super().__init__(message, headers={"retry-after": str(retry_after)})


class Interrupted(StageUnavailable):
    """What a stage needs outside of itself did not answer: a store, a disk, an authority.

    The stage may be tried again later and then give what it would have given now.
    """

    code = "interrupted"


class ConfigurationFault(StageUnavailable):
    """Weights, keys, policy or folders are missing or not usable; an operator must act."""

    code = "misconfigured"


class InternalError(Error):
    """Anything that was not foreseen. The reference leads to the log line."""

    def __init__(self, reference: str) -> None:
        super().__init__(
            f"Something went wrong on our side. Quote reference {reference} to report it.",
            extra={"reference": reference},
        )
