"""How a text enters a guard: without its control tokens, in windows that fit its context."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from safety.adapters.faults import GuardRefused

OVERLAP_TOKENS = 48
# A window cut by characters may have a few tokens more than the stretch it was cut from.
SLACK_TOKENS = 4
# A tokenizer that knows words only reads a long unknown one, or a foreign script, as nothing.
MAX_UNKNOWN_CHARS = 40
MAX_UNKNOWN_SHARE = 0.5
_MARKER = re.compile(r"<[^<>\s]+>|\[[^\[\]\s]+\]")


class GuardText:
    """The tokenizer of a guard, from the folder's files alone.

    A marker with a meaning to the model, like the one that ends a turn, is broken up when it
    stands in a prompt: nobody may answer in the guard's place.
    """

    def __init__(self, tokenizer: Any) -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise GuardRefused("The guard has no tokenizer.json.")
        self._tokenizer = tokenizer
        added: Mapping[int, Any] = tokenizer.added_tokens_decoder
        control = {
            i: str(token)
            for i, token in added.items()
            if token.special or _MARKER.fullmatch(str(token))
        }
        control |= {
            tokenizer.convert_tokens_to_ids(text): text for text in tokenizer.all_special_tokens
        }
        self._unknown = tokenizer.unk_token_id
        self._control_ids = frozenset(i for i in control if i != self._unknown)
        texts = sorted({t for t in control.values() if len(t) > 1}, key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, texts)) or r"(?!)")

    def windows(self, text: str, budget: int) -> tuple[str, ...]:
        """The text in stretches of at most ``budget`` tokens that overlap and cover it.

        Raises ValueError when a control token cannot be kept out, the tokenizer cannot read
        the text, or the budget is too small.
        """
        plain = self._control.sub(lambda m: f"{m[0][0]} {m[0][1:]}", text)
        encoded = self._encoded(plain)
        ids: Sequence[int] = encoded["input_ids"]
        if not self._control_ids.isdisjoint(ids):
            raise ValueError("A control token cannot be kept out of the text.")
        spans: Sequence[tuple[int, int]] = encoded["offset_mapping"]
        unknown = [
            end - start
            for i, (start, end) in zip(ids, spans, strict=True)
            if i == self._unknown
        ]
        if (
            len(unknown) > MAX_UNKNOWN_SHARE * len(ids)
            or max(unknown, default=0) > MAX_UNKNOWN_CHARS
        ):
            raise ValueError("The tokenizer of the guard cannot read the text.")
        if len(ids) <= budget:
            return (plain,)
        width = budget - SLACK_TOKENS
        step = width - min(OVERLAP_TOKENS, width // 4)
        if step < 1:
            raise ValueError("The guard has no room for the text.")
        last = len(ids) - 1
        cut = []
        for start in range(0, len(ids), step):
            end = min(start + width - 1, last)
            cut.append(plain[spans[start][0] : spans[end][1]])
            if end == last:
                break
        if any(len(self._encoded(piece)["input_ids"]) > budget for piece in cut):
            raise ValueError("A window of the text has more tokens than its stretch.")
        return tuple(cut)

    def _encoded(self, text: str) -> Any:
        return self._tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )


def context_of(config: Any, tokenizer: Any, limit: int | None) -> int:
    """How many tokens a guard can read: the least of what its parts and its card say.

    Raises GuardRefused when none of them says it.
    """
    found = [] if limit is None else [limit]
    positions = getattr(config, "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:
        # RoBERTa and its kin count positions from behind the padding index.
        shifted = "roberta" in str(config.model_type) or config.model_type == "camembert"
        found.append(positions - (config.pad_token_id or 0) - 1 if shifted else positions)
    length = tokenizer.model_max_length
    if isinstance(length, int) and 0 < length < 10**6:
        found.append(length)
    if not found:
        raise GuardRefused("Nothing says how long a text the guard can read: set max_tokens.")
    return min(found)
