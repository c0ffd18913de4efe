"""Tensors: how pictures go into a model of others and numbers come out of it."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safety.adapters.offline import Precision
from safety.adapters.picture_fit import Picture


def dtype_of(precision: Precision, device: str, *, half: str) -> str:
    """The precision to compute in: whole on a CPU, ``half`` on a GPU that can, unless set."""
    import torch

    if precision != "auto":
        return precision
    if device != "cuda":
        return "float32"
    if half == "bfloat16" and not torch.cuda.is_bf16_supported():
        return "float16"
    return half


def pixels_of(processor: Any, picture: Picture) -> NDArray[np.float32]:
    """The numbers that an image processor makes of one picture, whatever their shape."""
    found = processor(images=[picture], return_tensors="pt")["pixel_values"]
    return np.asarray(found.float().numpy(), np.float32)


def ready(inputs: Any, model: Any, call: Any = None) -> dict[str, Any]:
    """The inputs that ``call`` (the model's forward) takes, on its device, in its precision."""
    taken = inspect.signature(call or model.forward).parameters
    found = {}
    for name, value in inputs.items():
        if name in taken or name == "pixel_values":
            moved = value.to(model.device)
            found[name] = moved.to(model.dtype) if moved.is_floating_point() else moved
    return found


def numbers(table: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """A tensor as float64 of this shape; raises RuntimeError when it is not, or not finite."""
    found = np.asarray(table.detach().float().cpu().numpy(), np.float64)
    if found.shape != shape:
        raise RuntimeError("The model did not answer with one row of numbers per picture.")
    if not np.isfinite(found).all():
        raise RuntimeError("The model answered with something that is no number.")
    return found
