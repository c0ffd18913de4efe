"""Tiny models that write about pictures, made by hand so that their answers are known.

A light picture can make a LLaVA say one thing and a dark one another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    MllamaConfig,
    MllamaForConditionalGeneration,
    MllamaProcessor,
    PreTrainedTokenizerFast,
    ShieldGemma2Config,
    ShieldGemma2ForImageClassification,
    ShieldGemma2Processor,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil

from tests.contract.tiny_guards import bytes_tokenizer
from tests.contract.tiny_pictures import SIDE, WIDTH, card_of, layers, louder

STRENGTH = 14.0
LLAVA_TEMPLATE = (
    "{% for part in messages[0]['content'] %}{% if part['type'] == 'image' %}<image>"
    "{% else %} S1 S4 {{ part['text'] }}{% endif %}{% endfor %}"
)


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
    tower = {**layers(), "num_attention_heads": 1}
    model = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config={
                "model_type": "clip_vision_model",
                **tower,
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
            **layers(),
            "vocab_size": len(tokenizer),
            "num_key_value_heads": 1,
            "head_dim": 8,
            "max_position_embeddings": 512,
            "sliding_window": 512,
            "tie_word_embeddings": False,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": 0,
            "bos_token_id": 1,
        },
        vision_config={
            "model_type": "siglip_vision_model",
            **layers(),
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
    louder(model)
    inner = model.model
    with torch.no_grad():
        inner.model.language_model.embed_tokens.weight[:, 0] = 0.5
        inner.model.multi_modal_projector.mm_input_projection_weight.normal_(std=5.0)
        inner.lm_head.weight.mul_(0.05)
        for word in ("Yes", "No"):
            inner.lm_head.weight[known(word)] = torch.randn(WIDTH) * 0.3
            inner.lm_head.weight[known(word), 0] = 8.0
    model.save_pretrained(folder)
    pictures = Gemma3ImageProcessorPil(size={"height": SIDE, "width": SIDE})
    ShieldGemma2Processor(
        pictures, tokenizer, chat_template=template, image_seq_length=4
    ).save_pretrained(folder)
    return card_of(folder)


MLLAMA_TEMPLATE = (
    "{{ '<|bos|>' }}{% for part in messages[0]['content'] %}{% if part['type'] == 'image' %}"
    "<|image|>{% else %} S1 S4 {{ part['text'] }}{% endif %}{% endfor %}"
)


def mllama(folder: Path, chains: Mapping[str, Sequence[str]]) -> Path:
    """A Llama 3.2 Vision that writes the chain of the last token it read, then ends."""
    torch.manual_seed(4)
    words = [t for pair in chains.items() for t in (pair[0], *pair[1])]
    plain = bytes_tokenizer([*dict.fromkeys(words), "<|image|>"])
    if len(plain) % 2:
        plain.add_tokens(["<|filler|>"])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=plain.backend_tokenizer,
        pad_token="<|pad|>",
        bos_token="<|bos|>",
        eos_token="<|end|>",
    )
    size = len(tokenizer)
    model = MllamaForConditionalGeneration(
        MllamaConfig(
            vision_config={
                "hidden_size": WIDTH,
                "intermediate_size": WIDTH,
                "num_hidden_layers": 1,
                "num_global_layers": 1,
                "attention_heads": 2,
                "image_size": SIDE,
                "patch_size": 8,
                "intermediate_layers_indices": [0],
                "vision_output_dim": 2 * WIDTH,
                "max_num_tiles": 2,
                "supported_aspect_ratios": [[1, 1], [1, 2], [2, 1]],
            },
            text_config={
                "vocab_size": size,
                "hidden_size": size,
                "intermediate_size": 8,
                "num_hidden_layers": 2,
                "num_attention_heads": 1,
                "num_key_value_heads": 1,
                "cross_attention_layers": [1],
                "max_position_embeddings": 512,
                "tie_word_embeddings": False,
                "pad_token_id": tokenizer.pad_token_id,
                "eos_token_id": tokenizer.eos_token_id,
                "bos_token_id": tokenizer.bos_token_id,
            },
            image_token_index=tokenizer.convert_tokens_to_ids("<|image|>"),
        )
    )
    language = model.model.language_model
    with torch.no_grad():
        language.embed_tokens.weight.zero_()
        language.embed_tokens.weight[:size, :size] = torch.eye(size)
        language.layers[0].self_attn.o_proj.weight.zero_()
        language.layers[0].mlp.down_proj.weight.zero_()
        model.lm_head.weight.copy_(_table(tokenizer, chains, ends=True) / size**0.5)
    model.save_pretrained(folder)
    pictures = MllamaImageProcessorPil(size={"height": SIDE, "width": SIDE}, max_image_tiles=2)
    MllamaProcessor(pictures, tokenizer, chat_template=MLLAMA_TEMPLATE).save_pretrained(folder)
    return card_of(folder)
