"""transformers, told never to ask a hub, and what is opened with it."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from safety.adapters.faults import ExtraMissing, GuardRefused

Device = Literal["cpu", "cuda", "auto"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]


def check_extra() -> None:
    """Raises ExtraMissing when transformers is not installed; imports nothing."""
    if find_spec("transformers") is None:
        raise ExtraMissing(
            "Guards from a folder need the extra 'guards': pip install 'cinegate[guards]'."
        )


def offline_library() -> Any:
    """transformers, offline; nothing else in this process needs a hub. Raises ExtraMissing."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        os.environ[name] = "1"
    try:
        constants = import_module("huggingface_hub.constants")
        transformers: Any = import_module("transformers")
    except ImportError as error:
        raise ExtraMissing("The packages of the extra 'guards' cannot be imported.") from error
    # Read from the environment at import, which may have happened before.
    vars(constants)["HF_HUB_OFFLINE"] = True
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers


def opened(transformers: Any, auto: str, folder: Path, **more: Any) -> Any:
    """A part of the folder by its automatic class, such as ``AutoTokenizer``.

    Nothing is fetched and no code of the folder is run. Raises GuardRefused.
    """
    try:
        return getattr(transformers, auto).from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False, **more
        )
    except ImportError as error:
        raise GuardRefused(
            "The folder's model needs a package that is not installed (torchvision?)."
        ) from error
    except Exception as error:  # the library raises whatever its parts raise
        raise GuardRefused("The model cannot be loaded from its folder.") from error


def opened_model(transformers: Any, auto: str, folder: Path, *, device: str, dtype: str) -> Any:
    """The folder's model with all of its weights, on ``device``, for inference.

    Weights are read from safetensors only. Raises GuardRefused.
    """
    model, told = opened(
        transformers,
        auto,
        folder,
        use_safetensors=True,
        dtype=dtype,
        output_loading_info=True,
    )
    # The library fills what is missing with random numbers and goes on.
    if any(told.get(k) for k in ("missing_keys", "mismatched_keys", "error_msgs")):
        raise GuardRefused("The weights of the model are not complete.")
    return model.to(device).eval()


def device_of(wanted: Device) -> str:
    """ "cuda" or "cpu"; raises GuardRefused when the one that is wanted is not there."""
    import torch

    present = torch.cuda.is_available()
    if wanted == "cuda" and not present:
        raise GuardRefused("The model shall run on a CUDA device and there is none.")
    return "cuda" if present and wanted != "cpu" else "cpu"
