"""Guards that write their answer: Llama Guard, ShieldGemma and Qwen3Guard."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safety.adapters.answers import Answer, llama_guard_answer, qwen3guard_answer
from safety.adapters.decisions import LEADS, MIN_MASS, ends_of, first_tokens
from safety.adapters.faults import GuardRefused
from safety.adapters.guard_card import GuardCard
from safety.adapters.guard_text import GuardText, context_of
from safety.adapters.label_map import SAID_SCORE, STOP_FLOOR
from safety.verdict import Category

CONTROVERSIAL_SCORE = STOP_FLOOR
"""What a label counts that Qwen3Guard calls controversial: enough to be looked at."""

PROBE = "a red ball on a green meadow"
_CODE = re.compile(r"\bS\d{1,2}\b")


@dataclass(frozen=True, kw_only=True)
class _Style:
    """How a family answers: a reader of answers, what stands before the decision's word, and
    how many tokens an answer has at most."""

    read: Callable[[str], Answer | None]
    before: re.Pattern[str]
    words: tuple[str, ...]
    against: str
    max_new_tokens: int


_STYLES: Mapping[str, _Style] = {
    "llama_guard": _Style(
        read=llama_guard_answer,
        before=re.compile(r"\s*"),
        words=("safe", "unsafe"),
        against="unsafe",
        max_new_tokens=48,
    ),
    "qwen3guard": _Style(
        read=qwen3guard_answer,
        before=re.compile(r"\s*Safety:\s*"),
        words=("Safe", "Controversial", "Unsafe"),
        against="Unsafe",
        max_new_tokens=64,
    ),
}
_YES_NO = ("No", "Yes")


@dataclass(frozen=True, kw_only=True)
class _Written:
    """An answer: its tokens up to the end, the logits of each, and whether it did end."""

    tokens: tuple[int, ...]
    logits: Any
    ended: bool


class GuardWriter:
    """Scores texts with a loaded AutoModelForCausalLM that was trained as a guard.

    Decoding is greedy. The score of a label that the guard names is the probability of the
    word against the text where the tokens tell it, else what the label map fixes, and at least
    STOP_FLOOR; a label that it does not name scores 0. An answer that is cut off, in other
    words, or names an unknown label is none.
    """

    def __init__(self, model: Any, tokenizer: Any, card: GuardCard, batch: int) -> None:
        self._model = model
        # Not the folder's own: that one may sample.
        self._config_class = type(model.generation_config)
        self._tokenizer = tokenizer
        self._card = card
        self._map = card.labels
        self._ends = ends_of(model, tokenizer)
        self._batch = 1 if tokenizer.pad_token_id is None else batch
        self._text = GuardText(tokenizer)
        self._style = _STYLES.get(card.family)
        words = self._style.words if self._style else _YES_NO
        self._words = first_tokens(tokenizer, words)
        self._questions = tuple(
            card.guidelines[k] for k in self._map.targets if not self._style
        )
        if not tokenizer.chat_template:
            raise GuardRefused("The guard has no chat template.")
        if card.family == "llama_guard":
            self._map.check(_CODE.findall(str(tokenizer.chat_template)))
        if self._style is None and not all(self._words.values()):
            raise GuardRefused("The guard has no single tokens for Yes and No.")
        self._parted = self._takes_parts()
        room = context_of(model.config, tokenizer, card.max_tokens)
        asked = max(len(self._ids(text)) for text in self._asked(PROBE))
        answer = self._style.max_new_tokens if self._style else 1
        self._context = room - answer
        self._budget = self._context - asked - len(LEADS)
        if self._budget < 1:
            raise GuardRefused("The guard's own words fill its context.")

    def windows(self, text: str) -> tuple[str, ...]:
        """The text in windows that this model can read whole."""
        return self._text.windows(text, self._budget)

    def scores(self, texts: Sequence[str]) -> list[dict[Category, float] | None]:
        """Per window the score of each promised category; None where there was no answer."""
        asked = [question for text in texts for question in self._asked(text)]
        written: list[_Written | None] = []
        for start in range(0, len(asked), self._batch):
            written += self._write(asked[start : start + self._batch])
        if self._style is not None:
            return [self._decided(one, self._style) for one in written]
        count = len(self._questions)
        return [
            self._ruled(written[start : start + count])
            for start in range(0, len(written), count)
        ]

    # --- asking -----------------------------------------------------------------------

    def _asked(self, text: str) -> list[str]:
        """The texts put to the model about one window: one, or one for each policy."""
        if self._style is not None:
            return [self._rendered(text, parted=self._parted)]
        return [self._rendered(text, parted=self._parted, guideline=g) for g in self._questions]

    def _rendered(self, text: str, *, parted: bool, **more: str) -> str:
        """The chat template around a text; raises ValueError when the text is not in it."""
        content: Any = [{"type": "text", "text": text}] if parted else text
        found = self._tokenizer.apply_chat_template(
            [{"role": "user", "content": content}],
            tokenize=False,
            add_generation_prompt=self._card.generation_prompt,
            **more,
        )
        if not isinstance(found, str) or text.strip() not in found:
            raise ValueError("The chat template does not show the text to the guard.")
        if any(sentence.strip() not in found for sentence in more.values()):
            raise ValueError("The chat template does not show the guideline to the guard.")
        return found

    def _takes_parts(self) -> bool:
        """Whether the template wants content in parts. Raises GuardRefused if neither works."""
        more = {"guideline": self._questions[0]} if self._questions else {}
        for parted in (False, True):
            try:
                self._rendered(PROBE, parted=parted, **more)
            except Exception:  # noqa: BLE001, S112  # a template may raise whatever it likes
                continue
            return parted
        raise GuardRefused("The chat template does not show the text to the guard.")

    def _ids(self, text: str) -> Sequence[int]:
        ids: Sequence[int] = self._tokenizer(text, add_special_tokens=False, verbose=False)[
            "input_ids"
        ]
        return ids

    def _write(self, texts: Sequence[str]) -> list[_Written | None]:
        import torch

        inputs = self._tokenizer(
            list(texts),
            add_special_tokens=False,
            padding=len(texts) > 1,
            padding_side="left",
            return_tensors="pt",
            return_token_type_ids=False,
            verbose=False,
        )
        length = inputs["input_ids"].shape[1]
        if not 0 < length <= self._context:
            return [None] * len(texts)
        with torch.inference_mode():
            out = self._model.generate(
                **inputs.to(self._model.device), generation_config=self._decoding()
            )
        steps = torch.stack(out.logits, dim=1)
        answers = out.sequences[:, length:].tolist()
        return [self._cut(a, rows) for a, rows in zip(answers, steps, strict=True)]

    def _decoding(self) -> Any:
        return self._config_class(
            do_sample=False,
            num_beams=1,
            max_new_tokens=self._style.max_new_tokens if self._style else 1,
            eos_token_id=sorted(self._ends),
            pad_token_id=self._tokenizer.pad_token_id or min(self._ends),
            output_logits=True,
            return_dict_in_generate=True,
        )

    def _cut(self, tokens: Sequence[int], logits: Any) -> _Written:
        end = next((i for i, t in enumerate(tokens) if t in self._ends), None)
        return _Written(
            tokens=tuple(tokens[:end]), logits=logits.float(), ended=end is not None
        )

    # --- reading ----------------------------------------------------------------------

    def _decided(self, written: _Written | None, style: _Style) -> dict[Category, float] | None:
        if written is None or not written.ended or not written.logits.isfinite().all():
            return None
        answer = style.read(self._decoded(written.tokens))
        if answer is None or not all(self._map.knows(label) for label in answer.labels):
            return None
        chance, mass = self._chances(written, style)
        if mass is not None and not mass >= MIN_MASS:
            return None
        row = dict.fromkeys(self._map.categories, 0.0)
        for label in answer.labels:
            target = self._map.targets.get(label)
            for category in target.categories if target else ():
                fixed = target.score if target and target.score else SAID_SCORE
                score = CONTROVERSIAL_SCORE
                if answer.word == style.against:
                    score = max(STOP_FLOOR, fixed if chance is None else chance)
                row[category] = max(row[category], score)
        return row

    def _chances(self, written: _Written, style: _Style) -> tuple[float | None, float | None]:
        """The probability of the word against the text among the words of a decision, and
        that of all these words together; None for both when the tokens do not tell."""
        for i, token in enumerate(written.tokens):
            if style.before.fullmatch(self._decoded(written.tokens[: i + 1])):
                continue
            owners = [word for word, ids in self._words.items() if token in ids]
            if len(owners) != 1 or not style.before.fullmatch(
                self._decoded(written.tokens[:i])
            ):
                return None, None
            shares = written.logits[i].softmax(-1)
            parts = {w: float(shares[sorted(ids)].sum()) for w, ids in self._words.items()}
            mass = sum(parts.values())
            return parts[style.against] / mass, mass
        return None, None

    def _ruled(self, answers: Sequence[_Written | None]) -> dict[Category, float] | None:
        """ShieldGemma: P(Yes) against P(No) for each policy, all of which must be answered."""
        row = dict.fromkeys(self._map.categories, 0.0)
        for written, target in zip(answers, self._map.targets.values(), strict=True):
            if written is None or not written.logits[0].isfinite().all():
                return None
            shares = written.logits[0].softmax(-1)
            no, yes = (float(shares[sorted(self._words[word])].sum()) for word in _YES_NO)
            if not no + yes >= MIN_MASS:
                return None
            for category in target.categories:
                row[category] = max(row[category], yes / (no + yes))
        return row

    def _decoded(self, tokens: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(
            list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text
