"""Models that write about a picture: Llama Guard Vision, LlavaGuard, ShieldGemma 2.

Decoding is greedy; what the folder says about sampling is ignored. Numbers come from the
probability of the word that decides, where the tokens tell it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from safety.adapters.decisions import LEADS, MIN_MASS, ends_of, first_tokens
from safety.adapters.faults import GuardRefused
from safety.adapters.guard_text import context_of
from safety.adapters.label_map import SAID_SCORE, LabelMap
from safety.adapters.offline import device_of, offline_library, opened, opened_model
from safety.adapters.picture_answers import ENDLESS, READERS, format_of
from safety.adapters.picture_fit import MIN_SIDE, Picture, fit_for, picture_of
from safety.adapters.picture_settings import ASKED_PER_LABEL, VisionGuardFolder
from safety.adapters.picture_tensors import dtype_of, pixels_of, ready
from safety.verdict import Category

DECIDED_SCORE = 0.8
"""What counts at least that a guard decided against, and what P = 1/2 counts: where the
shipped policy acts on every category of frames."""

# The word that decides stands among the first tokens; the rest of an answer is not kept.
KEPT_STEPS = 24
_CODE = re.compile(r"\bS\d{1,2}\b")
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, kw_only=True)
class _Written:
    """An answer: its tokens up to the end, the numbers behind the first, whether it ended."""

    tokens: tuple[int, ...]
    shares: Any
    ended: bool


class PictureGuard:
    """Scores pictures with a loaded AutoModelForImageTextToText that was trained as a guard.

    A label that the guard does not name scores 0. An answer in other words, cut off, unsure
    of its own words, or with an unknown label is none: its categories are left out.
    """

    def __init__(
        self, model: Any, processor: Any, settings: VisionGuardFolder, labels: LabelMap
    ) -> None:
        self._own_prompts = settings.format == "shield_gemma_2"
        self._model = model
        # ShieldGemma 2 is made as a classifier around the model that writes.
        self._writer = model.model if self._own_prompts else model
        # Not the folder's own: that one may sample.
        self._config_class = type(self._writer.generation_config)
        self._processor = processor
        self._tokenizer = processor.tokenizer
        self._settings = settings
        self._map = labels
        self._format = format_of(settings.format)
        self._questions = self._asked()
        chosen = settings.generation_prompt
        self._opens = self._format.generation_prompt if chosen is None else chosen
        self._most = settings.max_new_tokens or self._format.max_new_tokens
        self._tokenizer.padding_side = "left"
        self._batch_pad = self._tokenizer.pad_token_id is not None
        self._ends = ends_of(self._writer, self._tokenizer)
        self._words = self._decisive()
        self._context = context_of(
            model.config.get_text_config(), self._tokenizer, settings.max_tokens
        )
        self._check_template()
        image_processor = processor.image_processor
        self._fit = fit_for(lambda picture: pixels_of(image_processor, picture))
        probe = self._fit(picture_of(np.full((MIN_SIDE, MIN_SIDE, 3), 127, np.uint8)))
        try:
            for label in self._questions:
                self._inputs([probe], label)
        except RuntimeError as error:
            raise GuardRefused(str(error)) from error

    @classmethod
    def open(cls, folder: Path, settings: VisionGuardFolder, labels: LabelMap) -> PictureGuard:
        """Loads model and processor from the folder; raises AdapterFault."""
        library = offline_library()
        device = device_of(settings.device)
        processor = opened(library, "AutoProcessor", folder, backend="pil")
        if not all(hasattr(processor, part) for part in ("image_processor", "tokenizer")):
            raise GuardRefused("The folder has no processor for pictures and texts.")
        # The class that its makers made has the weights one level deeper.
        shield = settings.format == "shield_gemma_2"
        model = opened_model(
            library,
            "AutoModelForImageClassification" if shield else "AutoModelForImageTextToText",
            folder,
            device=device,
            dtype=dtype_of(settings.precision, device, half="bfloat16"),
        )
        if shield and not hasattr(model, "yes_token_index"):
            raise GuardRefused("The model is no ShieldGemma 2.")
        return cls(model, processor, settings, labels)

    def scores(self, pictures: Sequence[Picture]) -> list[dict[Category, float]]:
        """Per picture the score of each category that was answered. Raises RuntimeError."""
        shown = [self._fit(picture) for picture in pictures]
        size = len(shown) if self._batch_pad else 1
        answers: dict[str | None, list[_Written]] = {}
        for label in self._questions:
            answers[label] = [
                written
                for start in range(0, len(shown), size)
                for written in self._write(shown[start : start + size], label)
            ]
        if self._settings.format in READERS:
            return [self._decided(written) for written in answers[None]]
        return [
            self._ruled({str(label): answers[label][n] for label in self._questions})
            for n in range(len(pictures))
        ]

    # --- asking -----------------------------------------------------------------------

    def _asked(self) -> dict[str | None, str]:
        """Label → the sentence put beside the picture; under None when there is but one."""
        if self._settings.format not in ASKED_PER_LABEL:
            return {None: self._settings.prompt or str(self._format.prompt)}
        if unknown := sorted(self._settings.questions.keys() - self._map.targets.keys()):
            raise GuardRefused(f"There is a question for no label: {unknown[0][:40]!r}.")
        given = dict(self._settings.questions)
        if self._own_prompts:
            given = {**getattr(self._processor, "policy_definitions", {}), **given}
        if missing := sorted(self._map.targets.keys() - given.keys()):
            raise GuardRefused(f"There is no question for the label {missing[0][:40]!r}.")
        form = self._format.prompt or "{question}"
        return {label: form.replace("{question}", given[label]) for label in self._map.targets}

    def _check_template(self) -> None:
        if not self._processor.chat_template:
            self._processor.chat_template = self._tokenizer.chat_template
        if not self._processor.chat_template:
            raise GuardRefused("The guard has no chat template.")
        if self._settings.format == "llama_guard":
            self._map.check(_CODE.findall(str(self._processor.chat_template)))
        for sentence in self._questions.values():
            try:
                with_it = self._rendered(sentence)
                without = self._rendered(sentence, pictured=False)
            except Exception as error:  # a template may raise whatever it likes
                raise GuardRefused("The chat template of the guard fails.") from error
            if _bare(sentence) not in _bare(with_it):
                raise GuardRefused("The chat template does not show the question to the guard.")
            if with_it == without:
                raise GuardRefused("The chat template does not show the picture to the guard.")

    def _rendered(self, sentence: str, *, pictured: bool = True) -> str:
        content = [{"type": "image"}] if pictured else []
        found: str = self._processor.apply_chat_template(
            [{"role": "user", "content": [*content, {"type": "text", "text": sentence}]}],
            tokenize=False,
            add_generation_prompt=self._opens,
        )
        return found

    def _inputs(self, pictures: Sequence[Picture], label: str | None) -> Any:
        """What the model is given; raises RuntimeError when that is too long."""
        images = [[picture] for picture in pictures]
        sentence = self._questions[label]
        if self._own_prompts:
            own = {str(label): sentence}
            inputs = self._processor(
                images=images, policies=[label], custom_policies=own, return_tensors="pt"
            )
        else:
            text = self._rendered(sentence)
            begin = self._tokenizer.bos_token
            inputs = self._processor(
                text=[text] * len(images),
                images=images,
                padding=self._batch_pad,
                add_special_tokens=not (begin and text.startswith(begin)),
                return_tensors="pt",
            )
        found = inputs["input_ids"].shape
        if found[0] != len(images) or not 0 < found[1] <= self._context - self._most:
            raise RuntimeError("The question about a picture is too long for the guard.")
        return inputs

    def _write(self, pictures: Sequence[Picture], label: str | None) -> list[_Written]:
        import torch

        inputs = self._inputs(pictures, label)
        length = inputs["input_ids"].shape[1]
        watch = _Watch(KEPT_STEPS)
        with torch.inference_mode():
            out = self._writer.generate(
                **ready(inputs, self._writer),
                generation_config=self._decoding(),
                logits_processor=[watch],
            )
        if watch.broken or out.shape[0] != len(pictures):
            raise RuntimeError("The guard answered with something that is no number.")
        shares = torch.stack(watch.steps, dim=1).softmax(-1)
        rows = zip(out[:, length:].tolist(), shares, strict=True)
        return [self._cut(tokens, row) for tokens, row in rows]

    def _decoding(self) -> Any:
        return self._config_class(
            do_sample=False,
            num_beams=1,
            max_new_tokens=self._most,
            eos_token_id=sorted(self._ends),
            pad_token_id=self._tokenizer.pad_token_id or min(self._ends),
        )

    def _cut(self, tokens: Sequence[int], shares: Any) -> _Written:
        end = next((i for i, t in enumerate(tokens) if t in self._ends), None)
        return _Written(tokens=tuple(tokens[:end]), shares=shares, ended=end is not None)

    # --- reading ----------------------------------------------------------------------

    def _decided(self, written: _Written) -> dict[Category, float]:
        """The scores of one answer in words; none when it is not understood."""
        text = self._decoded(written.tokens)
        answer = READERS[self._settings.format](text)
        if answer is None or not (written.ended or self._settings.format in ENDLESS):
            return {}
        if not all(self._map.knows(label) for label in answer.labels):
            return {}
        chance = self._chance(written)
        if chance is None:
            return {}
        row = dict.fromkeys(self._map.categories, 0.0)
        for label in answer.labels:
            target = self._map.targets.get(label)
            for category in target.categories if target else ():
                if answer.word == self._format.against:
                    fixed = target.score if target and target.score else SAID_SCORE
                    score = max(DECIDED_SCORE, weighed(chance) if chance >= 0 else fixed)
                else:
                    score = weighed(max(chance, 0.0))
                row[category] = max(row[category], score)
        return row

    def _ruled(self, answers: dict[str, _Written]) -> dict[Category, float]:
        """P(Yes) against P(No) for each label. A category without all of its answers is left
        out."""
        row = dict.fromkeys(self._map.categories, 0.0)
        silent: set[Category] = set()
        for label, target in self._map.targets.items():
            chance = self._against(answers[label].shares[0])
            for category in target.categories:
                if chance is None:
                    silent.add(category)
                else:
                    row[category] = max(row[category], weighed(chance))
        return {category: score for category, score in row.items() if category not in silent}

    def _chance(self, written: _Written) -> float | None:
        """The probability of the word against the picture among the two; -1 where the tokens
        do not tell it, None where the guard hardly believes either."""
        opening = self._format.opening
        for i, token in enumerate(written.tokens[:KEPT_STEPS]):
            begun = _bare(self._decoded(written.tokens[: i + 1]))
            if opening.startswith(begun):
                continue
            owners = [word for word, ids in self._words.items() if token in ids]
            if len(owners) != 1 or not begun.startswith(opening):
                return -1.0
            return self._against(written.shares[i])
        return -1.0

    def _against(self, shares: Any) -> float | None:
        parts = {word: float(shares[sorted(ids)].sum()) for word, ids in self._words.items()}
        mass = sum(parts.values())
        return parts[self._format.against] / mass if mass >= MIN_MASS else None

    def _decisive(self) -> dict[str, frozenset[int]]:
        """Word of a decision → the tokens that begin it."""
        words = self._format.words
        if self._own_prompts:
            ids = (self._model.no_token_index, self._model.yes_token_index)
            return {word: frozenset({i}) for word, i in zip(words, ids, strict=True)}
        quoted = ('"', ' "') if self._format.opening.endswith('"') else ()
        found = first_tokens(
            self._tokenizer, words, leads=(*LEADS, *quoted), skipped=("", ":", '"')
        )
        if self._settings.format not in READERS and not all(found.values()):
            raise GuardRefused("The guard has no single tokens for Yes and No.")
        return found

    def _decoded(self, tokens: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(
            list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text


def weighed(chance: float) -> float:
    """A probability as a score: even chances count DECIDED_SCORE, and it rises with them."""
    return float(np.interp(chance, (0.0, 0.5, 1.0), (0.0, DECIDED_SCORE, 1.0)))


class _Watch:
    """Keeps the numbers of the first steps, and whether any step had none."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self.steps: list[Any] = []
        self.broken = False

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        # -inf may mark words that a vocabulary has not; the highest is no number if any is NaN.
        if not bool(scores.amax(-1).isfinite().all()):
            self.broken = True
        if len(self.steps) < self._kept:
            self.steps.append(scores.float().clone())
        return scores


def _bare(text: str) -> str:
    return _SPACES.sub("", text)
