"""Tiny picture models: real folders for transformers whose answers are known before.

Classifiers answer with their biases, or differently for light and dark pictures. Writers are
made by hand so that a light picture makes them say one thing and a dark one another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
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
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    ShieldGemma2Config,
    ShieldGemma2ForImageClassification,
    ShieldGemma2Processor,
    SiglipConfig,
    SiglipModel,
    SiglipProcessor,
    ViTConfig,
    ViTForImageClassification,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from safety.sampling import Frames
from tests.contract.tiny_guards import bytes_tokenizer

SIDE = 32
SINGLE, MULTI = "single_label_classification", "multi_label_classification"
WIDTH = 16
STRENGTH = 14.0
LLAVA_TEMPLATE = (
    "{% for part in messages[0]['content'] %}{% if part['type'] == 'image' %}<image>"
    "{% else %} S1 S4 {{ part['text'] }}{% endif %}{% endfor %}"
)


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


def _layers() -> dict[str, Any]:
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
            ViTConfig(**_layers(), image_size=SIDE, patch_size=8, **named)
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
            text_config={**_layers(), **own, **ends},
            vision_config={**_layers(), **seen},
            projection_dim=8,
            logit_scale_init_value=1.5,
        )
    )
    _louder(model)
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
            text_config={**_layers(), **own, "projection_size": WIDTH},
            vision_config={**_layers(), "image_size": SIDE, "patch_size": 8},
        )
    )
    _louder(model)
    with torch.no_grad():
        model.logit_scale.fill_(1.5)
        model.logit_bias.fill_(-1.0)
    model.save_pretrained(folder)
    pictures = SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    SiglipProcessor(pictures, tokenizer).save_pretrained(folder)
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


def _louder(model: Any) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() >= 2:
                parameter.mul_(8.0)


def vision_writer(
    folder: Path,
    chains: Mapping[str, Sequence[str]],
    *,
    seen: Mapping[str, str] | None = None,
    template: str | None = LLAVA_TEMPLATE,
    ends: bool = True,
    rivals: Mapping[tuple[str, str], float] | None = None,
) -> Path:
    """A LLaVA that writes the chain of the last token it read, then ends.

    ``seen`` gives last token → what it writes first instead when the picture is light.
    ``rivals`` gives (token, rival successor) → how much of the logit the rival has.
    """
    torch.manual_seed(0)
    seen, rivals = seen or {}, rivals or {}
    words = [t for pair in chains.items() for t in (pair[0], *pair[1])]
    words += [*seen.values(), *(rival for _, rival in rivals)]
    tokenizer = bytes_tokenizer([*dict.fromkeys(words), "<image>"], template=template)
    size = len(tokenizer)
    known = tokenizer.convert_tokens_to_ids
    layers = {**_layers(), "num_attention_heads": 1}
    model = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config={
                "model_type": "clip_vision_model",
                **layers,
                "image_size": SIDE,
                "patch_size": 16,
                "projection_dim": WIDTH,
            },
            text_config={
                "model_type": "llama",
                "vocab_size": size,
                "hidden_size": size,
                "intermediate_size": 8,
                "num_hidden_layers": 1,
                "num_attention_heads": 1,
                "num_key_value_heads": 1,
                "head_dim": 8,
                "max_position_embeddings": 512,
                "tie_word_embeddings": False,
                "bos_token_id": None,
                "eos_token_id": tokenizer.eos_token_id,
                "pad_token_id": tokenizer.pad_token_id,
            },
            image_token_index=known("<image>"),
            vision_feature_layer=-1,
            tie_word_embeddings=False,
        )
    )
    table = _table(tokenizer, chains, ends=ends)
    for (before, rival), share in rivals.items():
        table[known(rival), known(before)] = share * STRENGTH
    with torch.no_grad():
        _see_light(model, image=known("<image>"), words=[known(word) for word in seen])
        for after in seen.values():
            table[known(after), known("<image>")] = 3 * STRENGTH
        model.lm_head.weight.copy_(table / size**0.5)
    model.save_pretrained(folder)
    edge = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    pictures = CLIPImageProcessorPil(**edge, do_normalize=False)
    LlavaProcessor(
        pictures,
        tokenizer,
        patch_size=16,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    ).save_pretrained(folder)
    return card_of(folder)


def _table(tokenizer: Any, chains: Mapping[str, Sequence[str]], *, ends: bool) -> torch.Tensor:
    """Successor of each token, as logits; what has none is followed by the end."""
    known = tokenizer.convert_tokens_to_ids
    end = tokenizer.eos_token_id
    successor: dict[int, int] = {}
    for start, chain in chains.items():
        ids = [known(start), *(known(t) for t in chain)]
        for before, after in zip(ids, [*ids[1:], end if ends else ids[-1]], strict=True):
            if successor.setdefault(before, after) != after:
                raise ValueError("Two chains part after the same token.")
    table = torch.zeros(len(tokenizer), len(tokenizer))
    for token in range(len(tokenizer)):
        table[successor.get(token, end), token] = STRENGTH
    return table


def _see_light(model: Any, *, image: int, words: Sequence[int]) -> None:
    """Light of the picture becomes a number in the place of the image token, and the tokens
    in ``words``, alone, look at it."""
    tower = model.model.vision_tower
    # One more level of the library's models is sometimes there.
    tower = getattr(tower, "vision_model", tower)
    for parameter in (
        *tower.encoder.parameters(),
        *model.model.multi_modal_projector.parameters(),
    ):
        parameter.zero_()
    places = tower.embeddings
    places.patch_embedding.weight.zero_()
    places.patch_embedding.weight[0] = 10.0 / places.patch_embedding.weight[0].numel()
    places.position_embedding.weight.zero_()
    places.position_embedding.weight[:, 1] = 1.0
    projector = model.model.multi_modal_projector
    projector.linear_1.weight[0, 0] = 1.0
    projector.linear_2.weight[image, 0] = 1.0
    language = model.model.language_model
    language.embed_tokens.weight.copy_(torch.eye(language.embed_tokens.weight.shape[0]))
    layer = language.layers[0]
    for parameter in (*layer.self_attn.parameters(), layer.mlp.down_proj.weight):
        parameter.zero_()
    # The slowest pair of the rotation: places hardly matter.
    layer.self_attn.k_proj.weight[3, image] = 8.0
    for word in words:
        layer.self_attn.q_proj.weight[3, word] = 8.0
    layer.self_attn.v_proj.weight[0, image] = 1.0
    layer.self_attn.o_proj.weight[image, 0] = 0.06


SHIELD_TEMPLATE = (
    "{{ '<|bos|>' }}{% for part in messages[0]['content'] %}{% if part['type'] == 'image' %}"
    "<boi>{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
)


def shield(folder: Path, *, template: str | None = SHIELD_TEMPLATE) -> Path:
    """A ShieldGemma 2 with random weights that says Yes or No and nothing else."""
    torch.manual_seed(3)
    plain = bytes_tokenizer(["<boi>", "<eoi>", "<img>", "Yes", "No"])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=plain.backend_tokenizer,
        pad_token="<|pad|>",
        bos_token="<|bos|>",
        eos_token="<|end|>",
        extra_special_tokens={
            "boi_token": "<boi>",
            "eoi_token": "<eoi>",
            "image_token": "<img>",
        },
    )
    known = tokenizer.convert_tokens_to_ids
    config = ShieldGemma2Config(
        text_config={
            "model_type": "gemma3_text",
            **_layers(),
            "vocab_size": len(tokenizer),
            "num_key_value_heads": 1,
            "head_dim": 8,
            "max_position_embeddings": 512,
            "sliding_window": 64,
            "tie_word_embeddings": False,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": 0,
            "bos_token_id": 1,
        },
        vision_config={
            "model_type": "siglip_vision_model",
            **_layers(),
            "image_size": SIDE,
            "patch_size": 8,
            "vision_use_head": False,
        },
        mm_tokens_per_image=4,
        boi_token_index=known("<boi>"),
        eoi_token_index=known("<eoi>"),
        image_token_index=known("<img>"),
        yes_token_index=known("Yes"),
        no_token_index=known("No"),
        tie_word_embeddings=False,
    )
    model = ShieldGemma2ForImageClassification(config)
    _louder(model)
    inner = model.model
    with torch.no_grad():
        inner.model.language_model.embed_tokens.weight[:, 0] = 20.0
        inner.lm_head.weight.mul_(0.05)
        for word in ("Yes", "No"):
            inner.lm_head.weight[known(word), 0] = 4.0
    model.save_pretrained(folder)
    pictures = Gemma3ImageProcessorPil(size={"height": SIDE, "width": SIDE})
    ShieldGemma2Processor(
        pictures, tokenizer, chat_template=template, image_seq_length=4
    ).save_pretrained(folder)
    return card_of(folder)
