"""Sound files: what the device would make of each, and the settings by which it does."""

import math
from collections.abc import Callable
from pathlib import Path

from edgewright.pipeline.data.files.scan import FileKind
from edgewright.pipeline.data.samples import SampleKind
from edgewright.pipeline.recipe.series import Audio
from edgewright.runtime.errors import InputError
from edgewright.runtime.sound.decoding import AUDIO_SUFFIXES, load_audio
from edgewright.runtime.sound.mel import AudioSettings, frame_count

SOUNDS = SampleKind("sound", "sounds", "sound")


def audio_settings_of(audio: Audio) -> AudioSettings:
    """A recipe's section `audio` in samples, with bands that are not normalised yet (mean 0, std 1)."""
    window = round(audio.window_ms * audio.sample_rate / 1000)
    return AudioSettings(
        sample_rate=audio.sample_rate,
        window=window,
        hop=max(1, round(audio.hop_ms * audio.sample_rate / 1000)),
        fft=1 << math.ceil(math.log2(window)),
        mels=audio.mels,
        low_hz=0.0,
        high_hz=audio.sample_rate / 2,
        mean=(0.0,) * audio.mels,
        std=(1.0,) * audio.mels,
        max_seconds=audio.max_seconds,
        other_rate=audio.other_rate,
    )


def audio_kind(audio: Audio) -> FileKind:
    """Sound files of a recipe's section `audio`: each must decode and hold at least one frame."""
    settings = audio_settings_of(audio)
    return FileKind(
        SOUNDS, AUDIO_SUFFIXES, _loader(settings), lambda path: None, f"1 {_library()} {settings}", "audio"
    )


def _loader(settings: AudioSettings) -> Callable[[Path], object]:
    def load(path: Path) -> object:
        samples = load_audio(path, settings)
        if not frame_count(len(samples), settings):
            raise InputError(
                f"{path} has {len(samples)} samples, a frame takes {settings.fft}: "
                "give longer sound, or lower audio.window_ms"
            )
        return samples

    return load


def _library() -> str:
    import soundfile

    return f"soundfile {soundfile.__version__}, {soundfile.__libsndfile_version__}"
