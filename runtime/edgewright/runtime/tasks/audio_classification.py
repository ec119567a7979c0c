"""Audio classification on the device: a sound in, every class with its probability out."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edgewright.runtime.bundle.manifest import StreamMemory
from edgewright.runtime.contracts import MODEL, STEP, GraphSpec, Tensors, TensorSpec
from edgewright.runtime.errors import InputError
from edgewright.runtime.options import Option
from edgewright.runtime.series.values import normalise
from edgewright.runtime.sound.decoding import (
    AUDIO_SUFFIXES,
    check_rate,
    load_audio,
    name_of,
    read_audio,
    write_wav,
)
from edgewright.runtime.sound.mel import AudioSettings, audio_settings, frame_count, log_mel
from edgewright.runtime.sound.stream import FRAMES, AudioFront
from edgewright.runtime.tasks.description import Description, ModelFacts, classifier_config, label_sentence
from edgewright.runtime.tasks.labels import Classifier, label_names
from edgewright.runtime.tasks.series import LENGTHS

_PIECE_SECONDS = 0.1
"""How a device would meet a sound: a tenth of a second at a time."""


class AudioClassification(Classifier):
    """The device half of audio classification; `processor` holds `AudioSettings` as plain values."""

    name = "audio-classification"
    noun = "sound"
    suffixes = AUDIO_SUFFIXES
    ragged = True
    options = (
        Option("rate", "Samples a second of sound that does not say it.", int, low=100, high=1_000_000),
    )

    def __init__(
        self, processor: Mapping[str, Any], labels: Sequence[str], assets: Mapping[str, bytes] | None = None
    ) -> None:
        self.settings: AudioSettings = audio_settings(processor)
        self.labels = label_names(labels, "audio classifier")
        self._mean, self._std = np.array(self.settings.mean), np.array(self.settings.std)
        self._rate: int | None = None
        mels = self.settings.mels
        frames = TensorSpec(FRAMES, "float32", ("batch", "time", mels))
        lengths = TensorSpec(LENGTHS, "int32", ("batch",))
        frame = TensorSpec(FRAMES, "float32", (1, "batch", mels))
        self.signatures = {
            MODEL: GraphSpec((frames, lengths), self.outputs("batch")),
            STEP: GraphSpec((frame,), self.outputs("batch")),
        }

    def describe(self, model: ModelFacts) -> Description:
        """Its labels and how it hears."""
        rate, mels = self.settings.sample_rate, self.settings.mels
        own = classifier_config(self.labels)
        return Description(
            tag=self.name,
            reads=f"{mels} log-mel bands of sound at {rate} Hz",
            answers=f"Hears sound of {rate} Hz. {label_sentence(self.labels)}",
            example='"sound.wav"',
            config={**own, "sampling_rate": rate, "num_mel_bins": mels},
            head="ForAudioClassification",
            piece=("chunk", "microphone"),
            stream=f"rate={rate}",
        )

    def raw_file(self, raw: Any) -> tuple[bytes, str]:
        """The raw input as the bytes of a file: unchanged where it is one, else losslessly as WAV."""
        if isinstance(raw, (str, Path)):
            return Path(raw).read_bytes(), Path(raw).suffix.lower()
        if isinstance(raw, (bytes, bytearray, memoryview)):
            return bytes(raw), ".flac" if bytes(raw[:4]) == b"fLaC" else ".wav"
        return write_wav(self._load(raw), self.settings.sample_rate), ".wav"

    def with_options(self, **options: Any) -> Self:
        """The same task, for sound of a `rate`. Raises `InputError` where only the trained one is taken."""
        check_rate(options["rate"], self.settings, "the sound")
        changed = copy.copy(self)
        changed._rate = options["rate"]
        return changed

    def _load(self, raw: Any) -> NDArray[np.float32]:
        return load_audio(raw, self.settings, self._rate)

    def encode(self, raw: Any) -> Tensors:
        """One raw sound to `input_features` float32 [frames, mels] and `lengths` int32, the number of frames.

        Raises `InputError`, also for a sound shorter than one frame.
        """
        samples = self._load(raw)
        if not frame_count(len(samples), self.settings):
            raise InputError(
                f"{name_of(raw)} has {len(samples)} samples, one frame needs {self.settings.fft}: give a longer sound"
            )
        frames = log_mel(samples, self.settings).astype(np.float64)
        return {
            FRAMES: normalise(frames, self._mean, self._std),
            LENGTHS: np.array(len(frames), np.int32),
        }

    def is_one(self, raw: Sequence[Any]) -> bool:
        """Samples and their rate are one sound."""
        return isinstance(raw, tuple) and len(raw) == 2 and isinstance(raw[1], (int, float, np.number))

    def stream_front(self, series: str = "", memory: StreamMemory | None = None) -> AudioFront:
        """The raw half of a new stream."""
        return AudioFront(self.settings, self.later(), self._rate, memory)

    def pieces(self, raw: Any) -> Iterator[tuple[NDArray[np.float32], int]]:
        """A sound in tenths of a second, each with its rate."""
        if self._rate is None:
            samples, rate = self._load(raw), self.settings.sample_rate
        else:  # a stream of this task takes them as they were recorded
            samples, rate = read_audio(raw, self.settings, self._rate)
        size = max(1, round(_PIECE_SECONDS * rate))
        for start in range(0, len(samples), size):
            yield samples[start : start + size], rate

    def pushed(
        self, raw: Any, memory: StreamMemory | None = None
    ) -> Iterator[tuple[NDArray[np.float32], int]]:
        """A sound in tenths of a second, and a silence that is long enough to part it from the next."""
        yield from self.pieces(raw)
        if memory is not None and memory.pause is not None:
            rate = self._rate or self.settings.sample_rate
            frames = (memory.pause + 1) * self.settings.hop + self.settings.fft
            yield np.zeros(-(-frames * rate // self.settings.sample_rate), np.float32), rate
