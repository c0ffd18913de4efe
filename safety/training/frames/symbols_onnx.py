"""The writing of a plain convolutional network as an ONNX file, batch norms folded in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx  # type: ignore[import-not-found, unused-ignore]  # only needed here
import torch
from onnx import helper, numpy_helper  # type: ignore[import-not-found, unused-ignore]
from torch import nn

OPSET = 17
IR_VERSION = 8


def write_onnx(network: nn.Sequential, path: Path, *, side: int | None) -> None:
    """Writes ``network`` (in evaluation mode) with input float32[N,3,side,side] in 0..1.

    ``side`` None leaves height and width open. The file holds half-precision weights, which
    are widened once at load.
    """
    nodes: list[Any] = []
    constants: list[Any] = []
    now = "pictures"

    def constant(value: torch.Tensor) -> str:
        name = f"w{len(constants)}"
        halves = value.detach().numpy().astype(np.float16)
        constants.append(numpy_helper.from_array(halves, f"{name}.half"))
        nodes.append(helper.make_node("Cast", [f"{name}.half"], [name], to=1))
        return name

    for step in _steps(network):
        after = f"t{len(nodes)}"
        if isinstance(step, nn.Conv2d):
            assert step.bias is not None
            pads = [int(p) for p in step.padding] * 2
            nodes.append(
                helper.make_node(
                    "Conv",
                    [now, constant(step.weight), constant(step.bias)],
                    [after],
                    pads=pads,
                    strides=list(step.stride),
                    dilations=list(step.dilation),
                )
            )
        elif isinstance(step, nn.ReLU):
            nodes.append(helper.make_node("Relu", [now], [after]))
        elif isinstance(step, nn.AdaptiveAvgPool2d):
            # 6 x 6 cells to 3 x 3.
            nodes.append(
                helper.make_node(
                    "AveragePool", [now], [after], kernel_shape=[2, 2], strides=[2, 2]
                )
            )
        elif isinstance(step, nn.Flatten):
            nodes.append(helper.make_node("Flatten", [now], [after]))
        elif isinstance(step, nn.Linear):
            weight, bias = constant(step.weight), constant(step.bias)
            nodes.append(helper.make_node("Gemm", [now, weight, bias], [after], transB=1))
        else:
            raise TypeError(f"No ONNX form for {type(step).__name__}.")
        now = after
    nodes.append(helper.make_node("Identity", [now], ["answer"]))
    shape = ["n", 3, side or "h", side or "w"]
    answer = ["n", None] if side else ["n", None, None, None]
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info("pictures", 1, shape)],
        [helper.make_tensor_value_info("answer", 1, answer)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    model.producer_name = "cinegate"
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _steps(network: nn.Sequential) -> Iterator[nn.Module]:
    flat = [step for step in network.modules() if not isinstance(step, nn.Sequential)]
    for step, after in zip(flat, [*flat[1:], nn.Identity()], strict=True):
        if isinstance(step, nn.BatchNorm2d):
            continue
        if isinstance(after, nn.BatchNorm2d):
            assert isinstance(step, nn.Conv2d)
            yield torch.nn.utils.fusion.fuse_conv_bn_eval(step.eval(), after.eval())
        else:
            yield step
