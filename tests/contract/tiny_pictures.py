"""Tiny picture models: real folders for transformers whose answers are known before.

Classifiers answer with their biases, or differently for light and dark pictures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
import torch
from tokenizers.processors import TemplateProcessing
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPProcessor,
    ConvNextConfig,
    ConvNextForImageClassification,
    Siglip2Config,
    Siglip2Model,
    Siglip2Processor,
    Siglip2Tokenizer,
    SiglipConfig,
    SiglipModel,
    SiglipProcessor,
    ViTConfig,
    ViTForImageClassification,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from safety.sampling import Frames
from tests.contract.tiny_guards import bytes_tokenizer

SIDE = 32
SINGLE, MULTI = "single_label_classification", "multi_label_classification"
WIDTH = 16


def light(count: int = 1) -> Frames:
    return np.full((count, 72, 128, 3), 255, np.uint8)


def dark(count: int = 1) -> Frames:
    return np.zeros((count, 72, 128, 3), np.uint8)


def noise(count: int, *, size: tuple[int, int] = (72, 128), seed: int = 0) -> Frames:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, size[0] // 8, size[1] // 8, 3))
    return coarse.repeat(8, axis=1).repeat(8, axis=2).astype(np.uint8)


def card_of(folder: Path, *, name: str = "tiny") -> Path:
    """Write a card.toml with the digest of every file that is there now."""
    files = "\n".join(
        f'"{path.name}" = "{hashlib.sha256(path.read_bytes()).hexdigest()}"'
        for path in sorted(folder.iterdir())
        if path.name != "card.toml"
    )
    head = f'name = "{name}"\nversion = "1"\nlicence = "Apache-2.0"\n'
    (folder / "card.toml").write_text(f"{head}[files]\n{files}\n", encoding="utf-8")
    return folder


def layers() -> dict[str, Any]:
    return {
        "hidden_size": WIDTH,
        "intermediate_size": WIDTH,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }


def image_classifier(
    folder: Path,
    biases: Mapping[str, float],
    *,
    problem: str | None = SINGLE,
    kind: str = "vit",
    seeing: bool = True,
) -> Path:
    """A classifier with these biases; a blind one has nothing else."""
    torch.manual_seed(0)
    named = {
        "id2label": dict(enumerate(biases)),
        "label2id": {label: i for i, label in enumerate(biases)},
        "problem_type": problem,
    }
    model: Any
    if kind == "vit":
        model = ViTForImageClassification(
            ViTConfig(**layers(), image_size=SIDE, patch_size=8, **named)
        )
        processor: Any = ViTImageProcessorPil(size={"height": SIDE, "width": SIDE})
    else:
        model = ConvNextForImageClassification(
            ConvNextConfig(hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], **named)
        )
        processor = ConvNextImageProcessorPil(size={"shortest_edge": SIDE})
    with torch.no_grad():
        model.classifier.weight.mul_(30.0 if seeing else 0.0)
        model.classifier.bias.copy_(torch.tensor(list(biases.values())))
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return card_of(folder)


def clip(folder: Path) -> Path:
    """A CLIP with random weights that tells pictures apart a little."""
    torch.manual_seed(1)
    tokenizer = _tokenizer()
    own = {"vocab_size": len(tokenizer), "max_position_embeddings": SIDE, "projection_dim": 8}
    ends = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": 1, "pad_token_id": 0}
    seen = {"image_size": SIDE, "patch_size": 8, "projection_dim": 8}
    model = CLIPModel(
        CLIPConfig(
            text_config={**layers(), **own, **ends},
            vision_config={**layers(), **seen},
            projection_dim=8,
            logit_scale_init_value=1.5,
        )
    )
    louder(model)
    model.save_pretrained(folder)
    edge = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    CLIPProcessor(CLIPImageProcessorPil(**edge), tokenizer).save_pretrained(folder)
    return card_of(folder)


def siglip(folder: Path) -> Path:
    """A SigLIP with random weights that tells pictures apart a little."""
    torch.manual_seed(2)
    tokenizer = _tokenizer()
    own = {"vocab_size": len(tokenizer), "max_position_embeddings": SIDE, "pad_token_id": 0}
    model = SiglipModel(
        SiglipConfig(
            text_config={**layers(), **own, "projection_size": WIDTH},
            vision_config={**layers(), "image_size": SIDE, "patch_size": 8},
        )
    )
    louder(model)
    with torch.no_grad():
        model.logit_scale.fill_(1.5)
        model.logit_bias.fill_(-1.0)
    model.save_pretrained(folder)
    pictures = SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    SiglipProcessor(pictures, tokenizer).save_pretrained(folder)
    return card_of(folder)


def siglip2(folder: Path) -> Path:
    """A SigLIP 2 for pictures of any shape, with random weights."""
    torch.manual_seed(5)
    texts = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "\u2581", *ascii_lowercase)
    # Its processor asks for texts of this length whatever the model has.
    tokenizer = Siglip2Tokenizer(
        vocab={text: i for i, text in enumerate(texts)}, merges=[], model_max_length=64
    )
    own = {"vocab_size": len(tokenizer), "max_position_embeddings": 64, "pad_token_id": 0}
    model = Siglip2Model(
        Siglip2Config(
            text_config={**layers(), **own, "projection_size": WIDTH},
            vision_config={**layers(), "num_patches": 16, "patch_size": 8},
        )
    )
    louder(model)
    with torch.no_grad():
        model.logit_scale.fill_(1.5)
        model.logit_bias.fill_(-1.0)
    model.save_pretrained(folder)
    pictures = Siglip2ImageProcessorPil(patch_size=8, max_num_patches=16)
    Siglip2Processor(pictures, tokenizer).save_pretrained(folder)
    return card_of(folder)


def _tokenizer(words: Sequence[str] = (), template: str | None = None) -> Any:
    tokenizer = bytes_tokenizer(words, template=template)
    tokenizer.model_max_length = SIDE
    # CLIP reads a text off the token that ends it.
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|bos|> $A <|end|>",
        special_tokens=[
            (t, tokenizer.convert_tokens_to_ids(t)) for t in ("<|bos|>", "<|end|>")
        ],
    )
    return tokenizer


def louder(model: Any) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() >= 2:
                parameter.mul_(8.0)
