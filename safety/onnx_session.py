"""An ONNX Runtime session over weights that match their card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from safety.cards import WeightsCard, WeightsMissing, verified_bytes

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

ERRORS_ONLY = 3


class VerifiedSession:
    """One model with one input and one output, opened on first use.

    The bytes that are compared with the card are the bytes that are loaded. ``label`` is the
    ``name@version`` the card must carry, ``card_folder`` the folder of the card, ``folder``
    answers where the file lies when it is asked for, ``threads`` is how many threads compute.
    """

    def __init__(
        self,
        *,
        label: str,
        card_folder: Path,
        folder: Callable[[], Path],
        filename: str,
        threads: int,
    ) -> None:
        if threads < 1:
            raise ValueError("A model needs at least one thread.")
        self._label = label
        self._card_folder = card_folder
        self._folder = folder
        self._filename = filename
        self._threads = threads
        self._lock = Lock()
        self._session: InferenceSession | None = None

    def open(self) -> InferenceSession:
        """The session, opened now if it was not; raises WeightsMissing when that fails."""
        with self._lock:
            if self._session is None:
                self._session = self._opened()
            return self._session

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """The model's output for float32[T,224,224,3], one row per picture.

        Raises WeightsMissing when the model cannot be opened and RuntimeError when it does not
        answer with one row of numbers per picture.
        """
        session = self.open()
        name = session.get_inputs()[0].name
        # One at a time: as fast on a CPU, half the memory, and a picture's score never
        # depends on its company.
        rows = [np.asarray(session.run(None, {name: one[None]})[0]) for one in batch]
        answer = np.concatenate(rows).astype(np.float32)
        if answer.ndim == 2 and len(answer) == len(batch):
            return answer
        raise RuntimeError("The model did not answer with one row per picture.")

    def _opened(self) -> InferenceSession:
        card = WeightsCard.load(self._card_folder)
        if card.label != self._label:
            raise WeightsMissing("The card belongs to other weights.")
        content = verified_bytes(self._folder(), self._filename, card=card)

        import onnxruntime

        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = ERRORS_ONLY
        try:
            return onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            # ONNX Runtime raises its own, undocumented family of errors here.
            raise WeightsMissing("The weights cannot be opened.") from error
