"""Models of pictures and texts (CLIP, SigLIP): a picture is compared with sentences.

Radford et al. 2021 (CLIP: softmax over sentences), Zhai et al. 2023 (SigLIP: a sigmoid for
each). What such a number means depends on the sentences: it must be calibrated.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safety.adapters.faults import GuardRefused
from safety.adapters.offline import device_of, offline_library, opened, opened_model
from safety.adapters.picture_fit import Picture, fit_for
from safety.adapters.picture_settings import ZeroShotFolder
from safety.adapters.picture_tensors import dtype_of, numbers, pixels_of, ready
from safety.verdict import Category

_SIGLIP = frozenset({"siglip", "siglip2"})
_CLIP = frozenset({"clip", "metaclip_2"})
_TEXTS_AT_ONCE = 16
_ALIKE = 1.0 - 1e-5


class PictureSentences:
    """Scores pictures with a loaded CLIP or SigLIP; the sentences are read once, here.

    Each category is weighed by itself. CLIP: the share of its sentences in a softmax over
    them and the neutral ones. SigLIP: the sigmoid of its best sentence; with neutral ones,
    against the best of these, p / (p + n).
    """

    def __init__(self, model: Any, processor: Any, settings: ZeroShotFolder) -> None:
        import torch

        kind = str(model.config.model_type)
        if kind not in _SIGLIP | _CLIP:
            raise GuardRefused("The model is neither CLIP nor SigLIP.")
        self._soft = kind in _CLIP
        if self._soft and not settings.neutral:
            raise GuardRefused("CLIP needs neutral texts: it only tells texts apart.")
        self._model = model
        self._processor = processor.image_processor
        self._categories = tuple(settings.texts)
        texts = list(dict.fromkeys(t for c in self._categories for t in settings.texts[c]))
        every = [*texts, *settings.neutral]
        place = {text: number for number, text in enumerate(every)}
        self._places = {c: [place[t] for t in settings.texts[c]] for c in self._categories}
        self._neutral = [place[text] for text in settings.neutral]
        self._count = len(every)
        self._fit = fit_for(lambda picture: pixels_of(self._processor, picture))
        with torch.inference_mode():
            self._texts = self._read(every, processor)
            self._scale = model.logit_scale.float().exp()
            self._bias = 0.0 if self._soft else model.logit_bias.float()
        self._check_texts()

    @classmethod
    def open(cls, folder: Path, settings: ZeroShotFolder) -> PictureSentences:
        """Loads model and processor from the folder; raises AdapterFault."""
        library = offline_library()
        device = device_of(settings.device)
        processor = opened(library, "AutoProcessor", folder, backend="pil")
        if not all(hasattr(processor, part) for part in ("image_processor", "tokenizer")):
            raise GuardRefused("The folder has no processor for pictures and texts.")
        model = opened_model(
            library,
            "AutoModel",
            folder,
            device=device,
            dtype=dtype_of(settings.precision, device, half="float16"),
        )
        return cls(model, processor, settings)

    def scores(self, pictures: Sequence[Picture]) -> list[dict[Category, float]]:
        """Per picture the score of every category that has texts. Raises RuntimeError."""
        import torch

        shown = [self._fit(picture) for picture in pictures]
        inputs = self._processor(images=shown, return_tensors="pt")
        with torch.inference_mode():
            call = self._model.get_image_features
            seen = _unit(call(**ready(inputs, self._model, call)).pooler_output)
            if seen.shape[-1] != self._texts.shape[-1]:
                raise RuntimeError("Vectors of pictures and texts differ in length.")
            logits = seen @ self._texts.T * self._scale + self._bias
            numbers(logits, (len(pictures), self._count))
            columns = [self._column(logits, self._places[c]) for c in self._categories]
        table = numbers(torch.stack(columns, dim=-1), (len(pictures), len(columns)))
        return [
            {c: min(share, 1.0) for c, share in zip(self._categories, row, strict=True)}
            for row in table.tolist()
        ]

    def _check_texts(self) -> None:
        """Raises GuardRefused for texts that make no numbers, or the same ones."""
        if not all(bool(part.isfinite().all()) for part in (self._texts, self._scale)):
            raise GuardRefused("The model makes no numbers of the texts.")
        # A tokenizer that does not end its texts as the model expects makes them all alike.
        alike = (self._texts @ self._texts.T).fill_diagonal_(0.0)
        if len(self._texts) > 1 and float(alike.max()) > _ALIKE:
            raise GuardRefused("The model cannot tell two of the texts apart.")

    def _column(self, logits: Any, own: Sequence[int]) -> Any:
        import torch

        if self._soft:
            shares = logits[:, [*own, *self._neutral]].softmax(-1)
            return shares[:, : len(own)].sum(-1)
        best = logits[:, own].amax(-1)
        if not self._neutral:
            return best.sigmoid()
        other = logits[:, self._neutral].amax(-1)
        log = torch.nn.functional.logsigmoid
        return (log(best) - log(other)).sigmoid()

    def _read(self, texts: Sequence[str], processor: Any) -> Any:
        """One unit vector per text; raises GuardRefused for one that is too long."""
        import torch

        tokenizer = processor.tokenizer
        room = int(self._model.config.text_config.max_position_embeddings)
        length = tokenizer.model_max_length
        room = min(room, length) if isinstance(length, int) and length > 0 else room
        if any(len(tokenizer(text)["input_ids"]) > room for text in texts):
            raise GuardRefused("A text of the settings is too long for the model.")
        # SigLIP was only ever shown texts of full length.
        padded = {"padding": "max_length", "max_length": room}
        padding = {"padding": True} if self._soft else padded
        found = []
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            part = list(texts[start : start + _TEXTS_AT_ONCE])
            inputs = processor(text=part, return_tensors="pt", **padding)
            call = self._model.get_text_features
            made = call(**ready(inputs, self._model, call)).pooler_output
            if made.shape[:-1] != (len(part),):
                raise GuardRefused("The model does not make one vector of each text.")
            found.append(_unit(made))
        return torch.cat(found)


def _unit(vectors: Any) -> Any:
    whole = vectors.float()
    return whole / whole.norm(dim=-1, keepdim=True)
