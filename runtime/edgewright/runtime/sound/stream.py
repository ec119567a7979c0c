"""The raw half of a stream of sound: samples in pieces of any size, whole frames out."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.bundle.manifest import StreamMemory
from edgewright.runtime.contracts import AnswerMaker, BoundStep, Steps, Tensors
from edgewright.runtime.errors import InputError
from edgewright.runtime.series.values import normalise
from edgewright.runtime.sound.decoding import channels_of, to_mono
from edgewright.runtime.sound.mel import AudioSettings, frame_count, frame_levels, log_mel
from edgewright.runtime.sound.pauses import Pauses
from edgewright.runtime.sound.resampling import StreamResampler

FRAMES = "input_features"
"""What a graph calls log-mel frames: transformers' word for features of sound."""


class AudioFront:
    """Samples to the step graph's input; see `StreamEncoder`. The frames are those of the whole sound: to the last bit
    at the trained rate, within rounding at another.

    `answer` makes an answer of the graph's output. `rate` is that of the samples, in Hz; None where each piece says it,
    and it is the trained one. After the pause that `memory` says the stream begins anew, and quiet frames have no
    answer of their own.
    """

    series = ""
    timeless = True

    def __init__(
        self,
        settings: AudioSettings,
        answer: AnswerMaker,
        rate: int | None = None,
        memory: StreamMemory | None = None,
    ) -> None:
        self.settings = settings
        self.answer = answer
        self._mean, self._std = np.array(settings.mean), np.array(settings.std)
        self._rate = rate
        self._resampler = StreamResampler(rate or settings.sample_rate, settings.sample_rate)
        self._pauses = Pauses(None) if memory is None else Pauses(memory.pause, memory.onset)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        # What the next frame needs of the samples before: fewer than a frame. Where the hop is longer than the frame
        # some samples have to be left out first.
        self._rest, self._skip = np.zeros(0, np.float32), 0
        self._channels = 0
        self._resampler.reset()
        self._pauses.reset()

    def push(self, piece: Any) -> Steps:
        """The frames that samples [n] or [n, channels] complete, or a pair of these and their rate."""
        piece = self._at_rate(piece)
        samples = to_mono(piece, self.settings, "the piece")
        channels = channels_of(piece)
        if self._channels not in (0, channels):
            raise InputError(
                f"the piece has {channels} channels, those before had {self._channels}: give all the same, or "
                "reset the stream"
            )
        if len(samples):
            self._channels = channels
        frames, levels = self._frames(self._resampler.push(samples))
        heard, begins, quiet = self._pauses.push(levels)
        if not len(heard):
            return Steps({}, 0)
        values = normalise(frames[heard].astype(np.float64), self._mean, self._std)
        return Steps({FRAMES: values}, len(heard), begins=begins, quiet=quiet)

    def _at_rate(self, piece: Any) -> Any:
        """The samples of a piece, once their rate is known to be the stream's."""
        trained = self.settings.sample_rate
        if not isinstance(piece, tuple) or len(piece) != 2:
            if self._rate is None:
                raise InputError(
                    "the piece does not say its sample rate: begin with engine.stream(rate=...), the Hz of the "
                    f"microphone (the model was trained with {trained}), or push (samples, rate)"
                )
            return piece
        samples, rate = piece
        if rate != (self._rate or trained):
            raise InputError(
                f"the piece has {rate} Hz, the stream takes {self._rate or trained} Hz: "
                f"begin with engine.stream(rate={rate}), or record at that rate"
            )
        return samples

    def _frames(self, samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        settings = self.settings
        skipped = min(self._skip, len(samples))
        samples = np.concatenate((self._rest, samples[skipped:]))
        used = frame_count(len(samples), settings) * settings.hop
        self._skip = self._skip - skipped + max(0, used - len(samples))
        self._rest = samples[used:].copy()
        return log_mel(samples, settings), frame_levels(samples, settings)

    def quick(self, step: BoundStep, slow: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """See `StreamEncoder`: a piece of sound is never one step."""
        return slow

    def state(self) -> Tensors:
        """All that it remembers, as arrays by name."""
        rest = np.zeros(self.settings.fft, np.float32)
        rest[: len(self._rest)] = self._rest
        kept, places = self._resampler.state()
        return {
            "samples": rest,
            "places": np.array([len(self._rest), self._skip, self._channels], np.int64),
            "kept": kept,
            "phase": places,
            "pauses": self._pauses.state(),
        }

    def restore(self, state: Mapping[str, NDArray[Any]], series: str = "") -> None:
        """Go on from what `state` returned."""
        length, skip, channels = (int(value) for value in state["places"])
        whole = 0 <= length < self.settings.fft and 0 <= skip <= self.settings.hop and 0 <= channels <= 64
        if not whole or not self._resampler.restore(state["kept"], state["phase"]):
            raise InputError("the state of the sound is damaged: save it again")
        self._rest, self._skip, self._channels = state["samples"][:length].copy(), skip, channels
        self._pauses.restore(state["pauses"])
