"""What several contract tests share: tiny guards in folders, a moderation service."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.contract.moderations_stub import Stub, serving
from tests.contract.tiny_guards import (
    CLASSIFIER,
    LLAMA,
    LLAMA_TEMPLATE,
    MURDER,
    QWEN,
    QWEN_TEMPLATE,
    SHIELD,
    SHIELD_TEMPLATE,
    classifier,
    writer,
)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def shelf(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One folder of each family; tests that change one copy it."""
    root = tmp_path_factory.mktemp("guards")
    folders = {name: root / name for name in ("sigmoid", "softmax", "llama", "qwen", "shield")}
    for folder in folders.values():
        folder.mkdir()
    biases = {"fine": 0.0, "hateful": -6.0, "gory": -4.0}
    heard = {"boo": "hateful", "murder": "gory"}
    multi = "multi_label_classification"
    classifier(folders["sigmoid"], biases, CLASSIFIER, heard=heard, problem=multi)
    biases = {"fine": 9.0, "hateful": 0.0, "gory": 0.0}
    single = "single_label_classification"
    classifier(folders["softmax"], biases, CLASSIFIER, heard=heard, problem=single)
    writer(
        folders["llama"],
        MURDER,
        LLAMA,
        template=LLAMA_TEMPLATE,
        otherwise="safe",
        rivals={("\n\n", "safe"): 0.9},
    )
    writer(
        folders["qwen"],
        {
            "murder": ("Safety:", " Unsafe", "\nCategories:", " Violent"),
            "quarrel": ("Safety: ", "Controversial", "\nCategories: ", "Unethical Acts"),
        },
        QWEN,
        template=QWEN_TEMPLATE,
        otherwise="Safety: Safe\nCategories: None",
    )
    writer(
        folders["shield"],
        {"<hate>": ("Yes",), "<bully>": ("No",)},
        SHIELD,
        template=SHIELD_TEMPLATE,
        otherwise="No",
        rivals={("<hate>", "No"): 0.9, ("<bully>", "Yes"): 0.9},
    )
    return folders


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serving(Stub()) as service:
        yield service


@pytest.fixture
def copied(shelf: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: Path(shutil.copytree(shelf[name], tmp_path / name))
