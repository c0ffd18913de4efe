"""The conversion of nsfwjs (TensorFlow.js, npm) into one ONNX file.

    npm pack nsfwjs@4.3.0
    python safety/training/frames/convert_nsfwjs.py nsfwjs-4.3.0.tgz model.onnx

Reads the ``mobilenet_v2_mid`` graph and its weight shards out of the npm tarball; needs the
``onnx`` package, neither TensorFlow nor Node. The shards are 8-bit: they are kept so, with
``scale * q + minimum`` as nodes in the graph, which ONNX Runtime folds once at load. The
file is therefore a quarter of its float size and computes with exactly the original numbers.
The same tarball and the same onnx release give the same bytes.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx  # type: ignore[import-not-found, unused-ignore]  # only needed here
from numpy.typing import NDArray
from onnx import (  # type: ignore[import-not-found, unused-ignore]
    TensorProto,
    helper,
    numpy_helper,
)

TARBALL_SHA256 = "4496790efc9bdc6f3e85a826a8e482c1fa1e9db4b3d18c095e98cc0c73cfb12f"
FOLDER = "package/dist/models/mobilenet_v2_mid/"
CLASSES = ("drawing", "hentai", "neutral", "porn", "sexy")
OPSET = 17
IR_VERSION = 8
ARITHMETIC = {"Mul": "Mul", "Sub": "Sub", "AddV2": "Add"}

# The browserify wrapper holds a JavaScript literal: bare keys, `.5`, `!0`.
TOKEN = re.compile(
    r'(?P<string>"(?:[^"\\]|\\.)*")|(?P<bool>![01])|(?P<key>[A-Za-z_$][\w$]*)(?=:)'
    r"|(?P<number>-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
)

Node = Mapping[str, Any]


def literal(script: str, start: int) -> Any:
    """The JavaScript object literal that begins at ``start``, as Python values."""

    def as_json(match: re.Match[str]) -> str:
        text = match.group()
        if match.lastgroup == "bool":
            return "true" if text == "!0" else "false"
        if match.lastgroup == "key":
            return f'"{text}"'
        return json.dumps(float(text)) if match.lastgroup == "number" else text

    value, _ = json.JSONDecoder().raw_decode(TOKEN.sub(as_json, script[start:]))
    return value


def read_tarball(path: Path) -> tuple[dict[str, Any], bytes]:
    """The model description and the joined weight shards of the npm tarball."""
    if hashlib.sha256(path.read_bytes()).hexdigest() != TARBALL_SHA256:
        raise SystemExit(f"{path} is not the nsfwjs 4.3.0 tarball this script was written for.")
    with tarfile.open(path) as tar:

        def script(name: str) -> str:
            member = tar.extractfile(FOLDER + name)
            assert member is not None
            return member.read().decode("utf-8")

        text = script("model.min.js")
        model = literal(text, text.index('{format:"graph-model"'))
        (manifest,) = model["weightsManifest"]
        shards = []
        for name in manifest["paths"]:
            encoded = re.search(r'exports="([A-Za-z0-9+/=]+)"', script(f"{name}.min.js"))
            assert encoded is not None, f"{name} holds no weights"
            shards.append(base64.b64decode(encoded.group(1), validate=True))
    return model, b"".join(shards)


class Weight:
    """One stored tensor: 8-bit with scale and minimum, or plain float32 or int32."""

    def __init__(self, entry: Mapping[str, Any], blob: bytes, offset: int) -> None:
        self.shape = tuple(int(size) for size in entry["shape"])
        self.quantization = entry.get("quantization")
        kind = self.quantization["dtype"] if self.quantization else entry["dtype"]
        if kind not in ("uint8", "float32", "int32"):
            raise SystemExit(f"Unexpected weight type {kind}.")
        dtype = np.dtype(kind).newbyteorder("<")
        count = int(np.prod(self.shape, dtype=np.int64))
        self.array = np.frombuffer(blob, dtype, count, offset).reshape(self.shape)
        self.nbytes = count * dtype.itemsize


def read_weights(model: Mapping[str, Any], blob: bytes) -> dict[str, Weight]:
    """Every tensor of the manifest by name."""
    weights, offset = {}, 0
    for entry in model["weightsManifest"][0]["weights"]:
        weights[entry["name"]] = weight = Weight(entry, blob, offset)
        offset += weight.nbytes
    if offset != len(blob):
        raise SystemExit(f"The manifest covers {offset} bytes of {len(blob)}.")
    return weights


class Graph:
    """The ONNX graph under construction; tensors are NCHW, weights OIHW."""

    def __init__(self, weights: Mapping[str, Weight]) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.names: dict[str, str] = {}

    def constant(self, name: str, array: NDArray[Any]) -> str:
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def weight(self, name: str, arrange: Callable[[NDArray[Any]], NDArray[Any]]) -> str:
        """The stored tensor ``name`` rearranged, as float32."""
        stored, short = self.weights[name], f"w{len(self.initializers)}"
        array = arrange(stored.array)
        if stored.quantization is None:
            return self.constant(short, array.astype(np.float32))
        scale, minimum = (np.float32(stored.quantization[key]) for key in ("scale", "min"))
        self.constant(f"{short}.q", array)
        self.constant(f"{short}.scale", np.array(scale))
        self.constant(f"{short}.min", np.array(minimum))
        self.add("Cast", [f"{short}.q"], f"{short}.f", to=TensorProto.FLOAT)
        self.add("Mul", [f"{short}.f", f"{short}.scale"], f"{short}.s")
        return self.add("Add", [f"{short}.s", f"{short}.min"], short)

    def source(self, name: str) -> str:
        """What ONNX calls the output (or the scalar constant) TensorFlow calls ``name``."""
        if name in self.weights and name not in self.names:
            assert self.weights[name].array.size == 1, name
            self.names[name] = self.weight(name, lambda array: array.reshape(()))
        return self.names[name]


def text(value: str) -> str:
    """A string attribute; TensorFlow.js stores them in base64."""
    return base64.b64decode(value).decode("ascii")


def numbers(node: Node, key: str) -> list[int]:
    """A list attribute in NHWC order."""
    return [int(number) for number in node["attr"][key]["list"]["i"]]


def padding(node: Node) -> str:
    """TensorFlow's SAME puts the odd pixel after, which ONNX calls SAME_UPPER."""
    return {"SAME": "SAME_UPPER", "VALID": "VALID"}[text(node["attr"]["padding"]["s"])]


def fused(node: Node) -> list[str]:
    """The operations TensorFlow.js fused behind a convolution or a product."""
    return [text(value) for value in node["attr"]["fused_ops"]["list"]["s"]]


def convert_node(graph: Graph, node: Node, output: str) -> str:
    """Adds the ONNX form of one TensorFlow node and returns its output."""
    op = node["op"]
    inputs = [name.split(":")[0] for name in node.get("input", [])]
    if op in ("_FusedConv2D", "FusedDepthwiseConv2dNative"):
        depthwise = op == "FusedDepthwiseConv2dNative"
        assert numbers(node, "dilations") == [1, 1, 1, 1]
        # HWIO -> OIHW; a depthwise kernel is HWC1 -> C1HW, one group per channel.
        axes: tuple[int, ...] = (2, 3, 0, 1) if depthwise else (3, 2, 0, 1)
        kernel = graph.weights[inputs[1]]
        after = fused(node)
        data = graph.source(inputs[0])
        assert after in (["BiasAdd"], ["BiasAdd", "Relu6"]), after
        graph.add(
            "Conv",
            [
                data,
                graph.weight(inputs[1], lambda array: array.transpose(axes)),
                graph.weight(inputs[2], lambda array: array),
            ],
            f"{output}.conv" if "Relu6" in after else output,
            auto_pad=padding(node),
            strides=numbers(node, "strides")[1:3],
            group=kernel.shape[2] if depthwise else 1,
        )
        if "Relu6" in after:
            graph.add("Clip", [f"{output}.conv", "zero", "six"], output)
        return output
    if op == "AvgPool":
        size, strides = numbers(node, "ksize")[1:3], numbers(node, "strides")[1:3]
        return graph.add(
            "AveragePool",
            [graph.source(inputs[0])],
            output,
            kernel_shape=size,
            strides=strides,
            auto_pad=padding(node),
        )
    if op == "Squeeze":
        assert numbers(node, "squeeze_dims") == [1, 2]
        graph.constant(f"{output}.axes", np.array([2, 3], np.int64))
        return graph.add("Squeeze", [graph.source(inputs[0]), f"{output}.axes"], output)
    if op == "_FusedMatMul":
        assert fused(node) == ["BiasAdd"]
        matrix = graph.weight(inputs[1], lambda array: array)
        bias = graph.weight(inputs[2], lambda array: array)
        return graph.add("Gemm", [graph.source(inputs[0]), matrix, bias], output)
    if op in ARITHMETIC:
        terms = [graph.source(name) for name in inputs]
        return graph.add(ARITHMETIC[op], terms, output)
    if op == "Softmax":
        return graph.add("Softmax", [graph.source(inputs[0])], output, axis=-1)
    raise SystemExit(f"No ONNX form for {op}.")


def convert(model: Mapping[str, Any], weights: Mapping[str, Weight]) -> onnx.ModelProto:
    """The whole graph: input ``image`` float32[N,224,224,3], output ``probabilities``."""
    graph = Graph(weights)
    graph.constant("zero", np.array(0, np.float32))
    graph.constant("six", np.array(6, np.float32))
    last = ""
    for number, node in enumerate(model["modelTopology"]["node"]):
        name = node["name"]
        if node["op"] == "Const":
            continue
        if node["op"] == "Placeholder":
            graph.names[name] = graph.add("Transpose", ["image"], "nchw", perm=[0, 3, 1, 2])
        elif node["op"] == "Identity":
            last = graph.names[name] = graph.source(node["input"][0].split(":")[0])
        else:
            graph.names[name] = convert_node(graph, node, f"t{number}")
    graph.add("Identity", [last], "probabilities")
    floats = TensorProto.FLOAT
    body = helper.make_graph(
        graph.nodes,
        "nsfwjs_mobilenet_v2_mid",
        [helper.make_tensor_value_info("image", floats, ["n", 224, 224, 3])],
        [helper.make_tensor_value_info("probabilities", floats, ["n", len(CLASSES)])],
        graph.initializers,
    )
    result = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)])
    result.ir_version = IR_VERSION
    result.producer_name = "convert_nsfwjs"
    onnx.checker.check_model(result, full_check=True)
    return result


def main() -> None:
    """Converts the tarball named on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tarball", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    model, blob = read_tarball(arguments.tarball)
    encoded = convert(model, read_weights(model, blob)).SerializeToString()
    arguments.out.write_bytes(encoded)
    print(f"{arguments.out}: {len(encoded)} bytes, {hashlib.sha256(encoded).hexdigest()}")


if __name__ == "__main__":
    main()
