"""The halving of the PP-OCRv6 files: float32 weights stored as float16.

    pip download --no-deps rapidocr==3.10.0
    python safety/training/frames/ocr_halve.py rapidocr-3.10.0-py3-none-any.whl det model.onnx

Reads ``PP-OCRv6_det_small.onnx`` or ``PP-OCRv6_rec_small.onnx`` out of the wheel; needs the
``onnx`` package. Each large tensor is rounded to float16 and cast back by a node that ONNX
Runtime folds once at load, so the file is half as large and computes in float32. The alphabet
stays where it was, in the metadata of the recogniser, under the same digest. The same wheel
and the same onnx release give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import zipfile
from pathlib import Path

import numpy as np
import onnx  # type: ignore[import-not-found, unused-ignore]  # only needed here
from onnx import (  # type: ignore[import-not-found, unused-ignore]
    TensorProto,
    helper,
    numpy_helper,
)

SOURCES = {
    "det": (
        "rapidocr/models/PP-OCRv6_det_small.onnx",
        "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
    ),
    "rec": (
        "rapidocr/models/PP-OCRv6_rec_small.onnx",
        "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
    ),
}
SMALL = 256
"""Tensors with fewer numbers than this stay as they are: shapes, scales, thresholds."""


def halved(content: bytes) -> bytes:
    """The same graph with its large float tensors as float16 behind a Cast."""
    model = onnx.load_from_string(content)
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        numbers = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or numbers.size < SMALL:
            continue
        half = numbers.astype(np.float16)
        if not np.isfinite(half).all():
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    model.doc_string = "Modified: weights of a PaddleOCR model stored as float16."
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("which", choices=sorted(SOURCES))
    parser.add_argument("out", type=Path)
    asked = parser.parse_args()
    name, digest = SOURCES[asked.which]
    with zipfile.ZipFile(asked.wheel) as wheel:
        content = wheel.read(name)
    if hashlib.sha256(content).hexdigest() != digest:
        raise SystemExit("This is not the file that was examined.")
    half = halved(content)
    asked.out.write_bytes(half)
    print(asked.out, len(half), hashlib.sha256(half).hexdigest())


if __name__ == "__main__":
    main()
