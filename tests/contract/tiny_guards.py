"""Tiny guards: real folders for transformers, with random weights and answers known before.

The last layer's bias (of a classifier) or a table from token to token (of a writer) forces the
answer, so that the loading code and the reading of answers are the real ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from safety.adapters.faults import GuardRefused
from safety.adapters.transformers_guard import TransformersGuard
from safety.moderation import PromptModerator
from safety.verdict import Category

# The answer hangs on the last token of what is asked, so the prompt stands last.
LLAMA_TEMPLATE = "<|bos|> S1 S4 S6 S10 <|turn|>{{ messages[0]['content'] | trim }}"
PARTS_TEMPLATE = "<|turn|>{{ messages[0]['content'][0]['text'] }}"
SHIELD_TEMPLATE = "<|turn|>{{ messages[0]['content'] }}<|end|>{{ guideline }}"
QWEN_TEMPLATE = "<|turn|>{{ messages[0]['content'] }}"
STRENGTH = 14.0
CONTROL = ("<|pad|>", "<|bos|>", "<|turn|>", "<|end|>")


def card_of(folder: Path, guard: str, *, name: str = "tiny") -> None:
    """Write a card.toml with the digest of every file that is there now."""
    files = "\n".join(
        f'"{path.name}" = "{hashlib.sha256(path.read_bytes()).hexdigest()}"'
        for path in sorted(folder.iterdir())
        if path.name != "card.toml"
    )
    head = f'name = "{name}"\nversion = "1"\nlicence = "Apache-2.0"\n'
    (folder / "card.toml").write_text(f"{head}[files]\n{files}\n{guard}", encoding="utf-8")


def bytes_tokenizer(words: Sequence[str] = (), *, template: str | None = None) -> Any:
    """A byte-level tokenizer that knows all text, and each of ``words`` as one token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab: dict[str, int] = {}
    for text in (*CONTROL, *alphabet):
        vocab.setdefault(text, len(vocab))
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = TemplateProcessing(
        single="<|bos|> $A", special_tokens=[("<|bos|>", vocab["<|bos|>"])]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<|pad|>", eos_token="<|end|>"
    )
    fast.add_special_tokens({"additional_special_tokens": ["<|bos|>", "<|turn|>"]})
    fast.add_tokens([word for word in words if word not in CONTROL])
    if template is not None:
        fast.chat_template = template
    return fast


def classifier(
    folder: Path,
    biases: Mapping[str, float],
    guard: str,
    *,
    heard: Mapping[str, str] | None = None,
    words: Sequence[str] = (),
    problem: str | None = None,
    positions: int = 256,
) -> Path:
    """A BERT whose logits are ``biases``; a word of ``heard``, wherever it stands in what the
    model reads, raises the logit of its label by 20. With ``words`` it knows no other words."""
    torch.manual_seed(0)
    heard = heard or {}
    labels = list(biases)
    tokenizer = _words_only(words) if words else bytes_tokenizer(list(heard))
    known = tokenizer.convert_tokens_to_ids
    width = 16
    model = BertForSequenceClassification(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            num_hidden_layers=1,
            num_attention_heads=1,
            intermediate_size=width,
            max_position_embeddings=positions,
            id2label=dict(enumerate(labels)),
            label2id={label: i for i, label in enumerate(labels)},
            problem_type=problem,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    _listen(model, {known(word): labels.index(label) for word, label in heard.items()})
    with torch.no_grad():
        model.classifier.bias.copy_(torch.tensor(list(biases.values())))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    card_of(folder, guard)
    return folder


def _words_only(words: Sequence[str]) -> Any:
    vocab = {text: i for i, text in enumerate(("[PAD]", "[UNK]", *words))}
    tokenizer = Tokenizer(models.WordLevel(vocab=vocab, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]"
    )


def _listen(model: Any, heard: Mapping[int, int]) -> None:
    """Attention that weighs all places alike carries each heard token to the first place,
    where the layer norm makes it loud again and the classifier reads it."""
    width = model.config.hidden_size
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.zero_()
        for place, (token, label) in enumerate(heard.items()):
            model.bert.embeddings.word_embeddings.weight[token, place] = 1.0
            model.classifier.weight[label, place] = 20.0
        attention = model.bert.encoder.layer[0].attention
        for linear in (attention.self.value, attention.output.dense, model.bert.pooler.dense):
            linear.weight.copy_(torch.eye(width))


def writer(
    folder: Path,
    chains: Mapping[str, Sequence[str]],
    guard: str,
    *,
    template: str,
    otherwise: str,
    rivals: Mapping[tuple[str, str], float] | None = None,
    ends: bool = True,
    dtype: torch.dtype = torch.float32,
    shard: str = "1GB",
) -> Path:
    """A Llama that writes the chain of the last token it read, then ends.

    After a token without a chain it writes ``otherwise``. ``rivals`` gives (token, rival
    successor) → how much of the logit the rival has, 1 for as strong. A token has one
    successor, whichever chain it stands in.
    """
    torch.manual_seed(0)
    texts = [*chains, *(t for chain in chains.values() for t in chain), otherwise]
    texts += [rival for _, rival in (rivals or {})]
    tokenizer = bytes_tokenizer(list(dict.fromkeys(texts)), template=template)
    size = len(tokenizer)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=size,
            hidden_size=size,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=1,
            num_key_value_heads=1,
            head_dim=8,
            max_position_embeddings=512,
            tie_word_embeddings=False,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    known = tokenizer.convert_tokens_to_ids
    end = tokenizer.eos_token_id
    successor: dict[int, int] = {known(otherwise): end if ends else known(otherwise)}
    for start, chain in chains.items():
        ids = [known(start), *(known(t) for t in chain)]
        for before, after in zip(ids, [*ids[1:], end if ends else ids[-1]], strict=True):
            if successor.setdefault(before, after) != after:
                raise ValueError("Two chains part after the same token.")
    table = torch.zeros(size, size)
    for token in range(size):
        table[successor.get(token, known(otherwise)), token] = STRENGTH
    for (before, rival), share in (rivals or {}).items():
        table[known(rival), known(before)] = share * STRENGTH
    with torch.no_grad():
        # One-hot in; nothing is added; the norm makes it sqrt(size) long.
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(size))
        model.lm_head.weight.copy_(table / size**0.5)
    model.to(dtype).save_pretrained(folder, max_shard_size=shard)
    tokenizer.save_pretrained(folder)
    # What a folder says about sampling must not matter.
    sampling = {"do_sample": True, "temperature": 9.0, "eos_token_id": end}
    (folder / "generation_config.json").write_text(json.dumps(sampling), encoding="utf-8")
    card_of(folder, guard)
    return folder


CLASSIFIER = """
[guard]
family = "classifier"
benign = ["fine"]
[guard.labels]
hateful = { categories = ["hate"] }
gory = { categories = ["violence", "gore_graphic"] }
"""
LLAMA = '[guard]\nfamily = "llama_guard"\n'
QWEN = '[guard]\nfamily = "qwen3guard"\n'
SHIELD = """
[guard]
family = "shield_gemma"
benign = ["Sexually Explicit Information", "Dangerous Content"]
[guard.guidelines]
"Hate Speech" = "The text hates nobody: <hate>"
"Harassment" = "The text bullies nobody: <bully>"
"""
MURDER = {"murder": ("\n\n", "unsafe", "\n", "S1")}


def scores_of(moderator: PromptModerator, text: str) -> dict[Category, float]:
    [answer] = moderator.score([text])
    return dict(answer.scores)


def refused(folder: Path, told: str) -> None:
    with pytest.raises(GuardRefused, match=told) as caught:
        TransformersGuard(folder).score(["a red ball"])
    assert str(folder) not in str(caught.value)
