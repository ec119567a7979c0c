"""The raw half of a stream of sound: samples in pieces of any size, whole frames out."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.contracts import AnswerMaker, BoundStep, Steps, Tensors
from edgewright.runtime.errors import InputError
from edgewright.runtime.series.values import normalise
from edgewright.runtime.sound.decoding import to_mono
from edgewright.runtime.sound.mel import AudioSettings, frame_count, log_mel

FRAMES = "input_features"
"""What a graph calls log-mel frames: transformers' word for features of sound."""


class AudioFront:
    """Samples to the step graph's input; see `StreamEncoder`. The frames are those of the whole sound, to the last bit.

    `answer` makes an answer of the graph's output.
    """

    series = ""
    timeless = True

    def __init__(self, settings: AudioSettings, answer: AnswerMaker) -> None:
        self.settings = settings
        self.answer = answer
        self._mean, self._std = np.array(settings.mean), np.array(settings.std)
        # What the next frame needs of the samples before: fewer than a frame. Where the hop is longer than the frame
        # some samples have to be left out first.
        self._rest = np.zeros(0, np.float32)
        self._skip = 0

    def reset(self) -> None:
        """Forget everything."""
        self._rest, self._skip = np.zeros(0, np.float32), 0

    def push(self, piece: Any) -> Steps:
        """The frames that samples [n] or [n, channels] complete; at the trained rate, as `load_audio` wants them."""
        settings = self.settings
        if isinstance(piece, tuple) and len(piece) == 2:
            piece, rate = piece
            if rate != settings.sample_rate:
                raise InputError(
                    f"the piece has {rate} Hz, a stream takes {settings.sample_rate} Hz: record at that rate"
                )
        samples = to_mono(piece, settings, "the piece")
        skipped = min(self._skip, len(samples))
        samples = np.concatenate((self._rest, samples[skipped:]))
        count = frame_count(len(samples), settings)
        frames = log_mel(samples, settings)
        used = count * settings.hop
        self._skip = self._skip - skipped + max(0, used - len(samples))
        self._rest = samples[used:].copy()
        if not count:
            return Steps({}, 0)
        return Steps({FRAMES: normalise(frames.astype(np.float64), self._mean, self._std)}, count)

    def quick(self, step: BoundStep, slow: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """See `StreamEncoder`: a piece of sound is never one step."""
        return slow

    def state(self) -> Tensors:
        """All that it remembers, as arrays by name."""
        rest = np.zeros(self.settings.fft, np.float32)
        rest[: len(self._rest)] = self._rest
        return {"samples": rest, "places": np.array([len(self._rest), self._skip], np.int64)}

    def restore(self, state: Mapping[str, NDArray[Any]], series: str = "") -> None:
        """Go on from what `state` returned."""
        length, skip = (int(value) for value in state["places"])
        if not 0 <= length < self.settings.fft or not 0 <= skip <= self.settings.hop:
            raise InputError("the state of the sound is damaged: save it again")
        self._rest, self._skip = state["samples"][:length].copy(), skip
