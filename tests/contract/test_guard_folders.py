"""What a folder of a guard, its card and its labels must be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from safety.adapters.faults import GuardRefused
from safety.adapters.label_map import LabelMap
from safety.adapters.readings import pieces, readings
from safety.adapters.transformers_guard import TransformersGuard
from safety.verdict import Category
from tests.contract.moderations_stub import THIRTEEN
from tests.contract.tiny_guards import (
    CLASSIFIER,
    LLAMA,
    card_of,
    refused,
)

HATE, VIOLENCE = Category.HATE, Category.VIOLENCE

# --- folders ----------------------------------------------------------------------------------


def test_a_changed_file_is_never_loaded(copied: Callable[[str], Path]) -> None:
    folder = copied("llama")
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    refused(folder, "differs from its card")


@pytest.mark.parametrize("name", ["extra.json", "chat_template.jinja.bak", "vocab.txt"])
def test_a_file_that_the_card_does_not_list_is_refused(
    copied: Callable[[str], Path], name: str
) -> None:
    folder = copied("llama")
    (folder / name).write_text("{}")
    refused(folder, "does not list")


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "model.pt", "modeling_x.py", "adapter_config.json"]
)
def test_pickles_and_code_are_refused_even_when_listed(
    copied: Callable[[str], Path], name: str
) -> None:
    folder = copied("llama")
    (folder / name).write_text("{}")
    card_of(folder, LLAMA)
    refused(folder, "not safetensors")


def test_a_folder_without_weights_or_card_is_refused(
    copied: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = copied("llama")
    (folder / "model.safetensors").unlink()
    refused(folder, "missing")
    card_of(folder, LLAMA)
    refused(folder, "no weights")
    refused(tmp_path / "nowhere", "card.toml")


def test_weights_that_lack_a_layer_are_refused_not_made_up(
    copied: Callable[[str], Path],
) -> None:
    from safetensors.torch import load_file, save_file

    folder = copied("sigmoid")
    tensors = load_file(folder / "model.safetensors")
    del tensors["classifier.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    card_of(folder, CLASSIFIER)
    refused(folder, "not complete")


def test_code_named_in_the_configuration_is_not_run(
    copied: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = copied("sigmoid")
    config = folder / "config.json"
    text = config.read_text().replace('"model_type": "bert"', '"model_type": "own"')
    assert '"own"' in text
    auto = (
        '{"auto_map": {"AutoConfig": "own.C", "AutoModelForSequenceClassification": "own.M"},'
    )
    config.write_text(text.replace("{", auto, 1))
    card_of(folder, CLASSIFIER)
    refused(folder, "cannot be loaded")


def test_a_device_that_is_not_there_is_said(
    shelf: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(GuardRefused, match="CUDA"):
        TransformersGuard(shelf["llama"], device="cuda").score(["x"])
    assert TransformersGuard(shelf["llama"], device="auto").score(["x"])[0].scores


def test_another_label_map_makes_another_name(copied: Callable[[str], Path]) -> None:
    folder = copied("llama")
    before = TransformersGuard(folder).name
    card_of(folder, LLAMA + '[guard.labels]\nS6 = { categories = ["illicit"] }\n')
    guard = TransformersGuard(folder)
    assert guard.name != before
    assert Category.ILLICIT in guard.promises


@pytest.mark.parametrize(
    "guard",
    [
        '[guard]\nfamily = "oracle"',
        '[guard]\nfamily = "classifier"',
        '[guard]\nfamily = "llama_guard"\ncolour = "red"',
        LLAMA + '[guard.labels]\nS1 = { categories = ["rudeness"] }',
        LLAMA + "[guard.labels]\nS1 = { categories = [] }",
        LLAMA + '[guard.labels]\nS1 = { categories = ["hate"], score = 0.1 }',
        '[guard]\nfamily = "shield_gemma"',
        "",
    ],
)
def test_a_card_that_says_nonsense_is_refused(
    copied: Callable[[str], Path], guard: str
) -> None:
    folder = copied("llama")
    card_of(folder, guard)
    refused(folder, ".")


# --- label maps -------------------------------------------------------------------------------


def test_the_built_in_maps_cover_their_families() -> None:
    llama = LabelMap.builtin("llama_guard")
    assert all(llama.knows(f"S{n}") for n in range(1, 15))
    LabelMap.builtin("openai").check_all(THIRTEEN)
    assert len(LabelMap.builtin("shield_gemma").targets) == 4
    assert len(LabelMap.builtin("qwen3guard").targets) == 9
    for name in ("llama_guard", "openai"):
        assert Category.SEXUAL_MINORS in LabelMap.builtin(name).categories
    with pytest.raises(GuardRefused):
        LabelMap.builtin("nobody")


def test_a_label_cannot_be_mapped_and_benign() -> None:
    labels = {"gory": {"categories": ["violence"]}}
    assert LabelMap.parse(None, {"labels": labels}).categories == {VIOLENCE}
    with pytest.raises(GuardRefused, match="benign and maps"):
        LabelMap.parse(None, {"labels": labels, "benign": ["gory"]})


def test_a_card_may_change_a_built_in_map_label_by_label() -> None:
    table = {"labels": {"S6": {"categories": ["illicit"]}}, "benign": ["S8"]}
    changed = LabelMap.parse("llama_guard", table)
    assert changed.targets["S6"].categories == (Category.ILLICIT,)
    assert Category.IP_CHARACTER_BRAND not in changed.categories
    assert changed.benign == {"S8", "S14"}


def test_a_text_in_pieces_is_covered_whole() -> None:
    text = "".join(chr(0x4E00 + n) for n in range(1000))
    cut = pieces(text, 300, 50)
    assert all(len(piece) <= 300 for piece in cut)
    assert all(any(text[n : n + 50] in piece for piece in cut) for n in range(951))


def test_a_plain_prompt_has_one_reading() -> None:
    assert readings("A Fox crosses\nthe road.") == ("A Fox crosses\nthe road.",)
    assert len(readings("a f\u200box")) == 2
