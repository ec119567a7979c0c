"""The part of the page of bundles that an author of another reader needs: from a raw input to an answer, by tasks."""

from collections.abc import Callable, Iterator
from typing import Any

from docs.generator.markdown import prose, table
from edgewright.runtime.images.encoding import ImageSettings
from edgewright.runtime.series.settings import ForecastSettings, SeriesSettings, WideTable
from edgewright.runtime.sound.mel import AudioSettings
from edgewright.runtime.text.decoding import TextSettings
from edgewright.runtime.text.settings import EncoderTextSettings, QuestionSettings, ZeroShotSettings

_INTRO = """\
## Read a bundle without edgewright

What follows is all that a reader in C++, JavaScript or anything else needs beside ONNX Runtime. It opens
`edgewright.json`, takes the file of a variant (`default_variant`, or the one it wants) from
`variants[].graphs.model`, makes tensors of a raw input by the steps of its task below, runs the graph, and reads the
answer. Whether it does all of this right is told by the golden samples: their raw inputs are files of the bundle,
and so are torch's outputs.

Names of axes: `batch` samples at once, `time` steps, frames or tokens. Samples of different lengths share a batch
when they are filled up with zeros at the end of `time` (`input_ids` with `pad_id`); `lengths`, or `attention_mask`,
says how much counts. All `logits` stand in the order of `labels`; softmax over them gives probabilities.

`graphs` of the manifest has every input and output with dtype and shape. What is listed there as `extra` is for
other tools: of embeddings `last_hidden_state` float32 [batch, time, dimensions], which transformers.js and
sentence-transformers pool.

### Golden samples

`golden.samples` names the file of each raw input and the id it had. `golden.outputs` is a safetensors file:
`"3.logits"` holds the output `logits` of the fourth sample as torch gave it, without batch axis and padding; windows
of a long text are merged as its task says. `golden.decisions` has what was decided: the index of the label; of
several labels the list of indices; of entities `[start, end, label]` in characters; of a question the text of the
answer; nothing of numbers and vectors. A variant is right on a device when, for each output, the largest difference
to torch divided by the largest absolute value of torch is at most `tolerance.relative`, and the share
`tolerance.decisions` of the decisions equal.
"""

_IMAGES = """\
## image-classification

Takes `pixel_values` float32 [batch, 3, height, width], gives `logits` float32 [batch, classes].

1. Decode to 8 bits. 16-bit grey is shifted right by 8; what is transparent lies on white; grey and palettes become
   RGB. Turn the picture upright by its EXIF orientation. More than `max_pixels` are refused.
2. Resize by Pillow's filter `interpolation` (`bilinear`, `bicubic`, ... as Pillow does it: when it scales down, the
   filter's support grows with the factor, which other libraries call antialias). `resize` is the new length of the
   shorter side, the longer one is `int(resize * longer / shorter)`; or a pair (height, width); or null for no change.
3. Crop `crop` (height, width) from the middle: offset `round((size - crop) / 2)`, halves to the even number. A
   picture that is smaller is filled up with black, `(crop - size) // 2` before it.
4. In float32: value / 255, minus `mean`, divided by `std`, of red, green, blue.
5. Channels first.

`preprocessor_config.json` says the same in transformers' words: `do_resize` with `size` (`shortest_edge`, or height
and width) and Pillow's number of the filter (`resample`), `do_center_crop` with `crop_size`, `do_rescale` with
`rescale_factor` 1/255, `do_normalize` with `image_mean` and `image_std`. transformers gives the same up to two of 255
grey levels (and crops one pixel beside where the margin is odd). transformers.js resizes in Node without antialias and
in a browser by its canvas: its tensors are near to these, not equal, so photos have to be compared by decision. Both
leave orientation and transparency to what decodes the file.
"""

_SERIES = """\
## sequence-classification, sequence-regression, forecasting

Take `values` float32 [batch, time, features] and `lengths` int32 [batch]. Raw values give nonsense without a word:
every column has to be scaled first.

1. Columns in the order of `features`. A missing value is refused, or filled as `missing` says (`forward`: the last
   known one, `interpolate`: a straight line; before the first known one: `mean`).
2. Times, where there are any, must rise by `step`; `irregular` says what is done otherwise (`refuse`, `ignore`, or
   `resample`: straight lines between neighbours on the grid first time + k x `step`).
3. In float64: (value - `mean`) / `std` of the column, then float32. Where `per_series` is not null each series has
   its own: `per_series[name]` is [mean, std, target_mean, target_std]; a name that is not there is refused, or takes
   the global ones, as `unseen` says.

`series_column`, `time_column` and `wide` say how tables are read, which comes before.

`sequence-classification` gives `logits` [batch, classes]. `sequence-regression` gives `prediction` [batch, time,
targets], 0 beyond the length: times `target_std` plus `target_mean` it is in the user's units, a column for each of
`targets`.

`forecasting` takes the last `forecast.context` steps and two or three inputs more; it gives `prediction`
[batch, horizon, targets], normalised. The targets are the first features, and have their `mean` and `std` where
`target_mean` is empty.

- `anchor` float32 [batch, horizon, targets], to which the graph adds, of the *normalised* values v of the T steps
  that the graph is given (`forecast.anchor`): `none` is zeros; `last` is v[T - 1] at every step; `seasonal` is, h
  steps ahead (from 0), v[T - season + h modulo season].
- `known` float32 [batch, horizon, columns] where `forecast.known` names columns: their values at the steps to come,
  minus `known_mean`, divided by `known_std`.
- The answer is `prediction` x `std` + `mean` of each target; its times go on from the last by `step`.
"""

_SOUND = """\
## audio-classification

Takes `input_features` float32 [batch, time, mels] and `lengths` int32 [batch], gives `logits` float32 [batch,
classes].

1. Samples as float32 from -1 to 1 (int16 / 32768), channels averaged where `mono` is true, else refused. Sound of
   another rate than `sample_rate` is resampled by a windowed sinc, or refused, as `other_rate` says; longer than
   `max_seconds` is refused.
2. Frames of `fft` samples, the first at sample 0, each `hop` further on; nothing is padded, a rest counts for
   nothing.
3. Each frame times a periodic Hann window of `window` samples, 0.5 - 0.5 cos(2 pi n / window), in the middle of the
   `fft` (the others are 0). Power |FFT|^2 of the bins 0 to fft / 2.
4. `mels` triangles on Slaney's scale from `low_hz` to `high_hz`, each of area 1 (librosa: `htk=False,
   norm="slaney"`).
5. Natural logarithm of the power in each band, at least 1e-10; then (value - `mean`) / `std` of the band.
"""

_TEXTS = """\
## Texts by a recurrent net

Take `input_ids` int64 [batch, time] and `lengths` int32 [batch], give `logits` float32 [batch, classes]. The ids are
what `tokenizer.json` makes of the text (a byte order mark before it is left out); the first `max_tokens` count, or a
longer text is refused, as `policy` says.
"""

_ENCODERS = """\
## Texts by an encoder

Take those of `input_ids`, `attention_mask` and `token_type_ids` that `inputs` names, int64 [batch, time].

1. Tokens of each text by `tokenizer.json`, without its own truncation and padding, no special ones yet. Where
   `split_special_tokens` is true, "[SEP]" in a text is read as letters.
2. The special tokens around them are those of the template in `tokenizer.json`; types are 0 for the first text and
   what the template says for the second. A text has at most `max_tokens` with them. A longer one, as `policy` says:
   `truncate` cuts the end that `truncation_side` names (of a `pair` the longer text gives way, of a question and its
   context the context); `stride` reads windows of which two share `stride` tokens; `refuse` refuses.
3. `attention_mask` is 1; what fills a batch up is `pad_id` in `input_ids` and 0 in the others.

| task | gives | answer |
| --- | --- | --- |
| text-classification | `logits` [batch, classes] | softmax; where `multi_label`, sigmoid, each from `threshold` on |
| token-classification | `logits` [batch, time, classes] | a word has the label of its first token |
| question-answering | `start_logits`, `end_logits` [batch, time] | the best sum of a start and an end in the context |
| sentence-embedding | `sentence_embedding` [batch, dimensions] | the vector; of length 1 where `normalise` is true |
| zero-shot-classification | `logits` or `sentence_embedding` | see `ZeroShotSettings` |

Of several windows, outputs for each token follow one another; logits and vectors are averaged, each with its number
of tokens as weight (vectors get length 1 again where `normalise` is true). A question's answer has at most
`max_answer_tokens` tokens; where `no_answer` is true and start + end at the first token exceed the best span's score
by more than `null_threshold`, there is none. `columns` are names of the texts in tables, `vocabulary` is how many
tokens the model knows: neither is needed to answer. `tokenizer_config.json` and `special_tokens_map.json` say for
other tools which tokens play a part. Two texts that are read together need `token_type_ids` from the tokenizer where
the graph takes them: transformers.js gives them by itself where the tokenizer's class is `BertTokenizer`, else it has
to be asked (`return_token_type_ids: true`).

Embeddings come with what sentence-transformers reads: `modules.json`, `1_Pooling/config.json`,
`sentence_bert_config.json`. It pools `last_hidden_state` itself, and so does fastembed, which takes the first
output; who wants no pooling of their own asks for `sentence_embedding`.
"""

_STREAMS = """\
## Streams

Where there is a graph `step`, it answers one step at a time: the first input is [1, batch, features], of one step;
then come the states, which begin with `initial` and are given back as `output`. A forecast's `anchor` is that of the
steps so far, and there is no answer before `forecast.context` steps.
"""

_EXAMPLE = """\
## An example

A forecast and a picture from raw values with numpy, Pillow and bare onnxruntime; they are run by a test, and equal
what `Engine` answers. `series/` is a bundle of forecasting, `pictures/` one of image-classification.

```python title="forecast.py"
import json
from pathlib import Path

import numpy as np
import onnxruntime


def forecast(bundle, values, known=None):
    "values [steps, features] in the user's units and in the order of `features`; known [horizon, columns] ahead."
    manifest = json.loads(Path(bundle, "edgewright.json").read_text(encoding="utf-8"))
    settings = manifest["processor"]
    ahead = settings["forecast"]
    mean, std = np.array(settings["mean"]), np.array(settings["std"])
    context, horizon, targets = ahead["context"], ahead["horizon"], len(settings["targets"])
    scaled = ((np.asarray(values)[-context:] - mean) / std).astype(np.float32)

    kind, season = ahead.get("anchor", "seasonal"), ahead.get("season", 1)
    if kind == "seasonal":
        anchor = scaled[[context - season + step % season for step in range(horizon)], :targets]
    elif kind == "last":
        anchor = np.repeat(scaled[-1:, :targets], horizon, axis=0)
    else:
        anchor = np.zeros((horizon, targets), np.float32)
    feeds = {"values": scaled[None], "lengths": np.array([context], np.int32), "anchor": anchor[None]}
    if ahead.get("known"):
        there = (np.asarray(known) - np.array(ahead["known_mean"])) / np.array(ahead["known_std"])
        feeds["known"] = there.astype(np.float32)[None]

    variant = next(one for one in manifest["variants"] if one["name"] == manifest["default_variant"])
    session = onnxruntime.InferenceSession(f"{bundle}/{variant['graphs']['model']}")
    (prediction,) = session.run(["prediction"], feeds)
    return prediction[0] * std[:targets] + mean[:targets]
```

```python title="classify.py"
import json
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def classify(bundle, photo):
    manifest = json.loads(Path(bundle, "edgewright.json").read_text(encoding="utf-8"))
    settings = manifest["processor"]
    with Image.open(photo) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")

    if isinstance(settings["resize"], int):
        short, long = settings["resize"], int(settings["resize"] * max(image.size) / min(image.size))
        size = (short, long) if image.width <= image.height else (long, short)
        image = image.resize(size, Image.Resampling[settings["interpolation"].upper()])
    height, width = settings["crop"]
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    image = image.crop((left, top, left + width, top + height))

    pixels = np.asarray(image).astype(np.float32) / np.float32(255)
    pixels = (pixels - np.float32(settings["mean"])) / np.float32(settings["std"])
    variant = next(one for one in manifest["variants"] if one["name"] == manifest["default_variant"])
    session = onnxruntime.InferenceSession(f"{bundle}/{variant['graphs']['model']}")
    (logits,) = session.run(["logits"], {"pixel_values": pixels.transpose(2, 0, 1)[None]})
    return manifest["labels"][int(logits[0].argmax())], logits[0]
```
"""

_SETTINGS: tuple[tuple[str, tuple[Any, ...]], ...] = (
    (_IMAGES, (ImageSettings,)),
    (_SERIES, (SeriesSettings, ForecastSettings, WideTable)),
    (_SOUND, (AudioSettings,)),
    (_TEXTS, (TextSettings,)),
    (_ENCODERS, (EncoderTextSettings, QuestionSettings, ZeroShotSettings)),
)
"""What is said of a task, and the classes whose keys stand in its `processor`."""


def sections(keys: Callable[[Any], Iterator[tuple[str, str, str]]]) -> Iterator[str]:
    """The sections, in their order; `keys` gives the rows of a class."""
    yield _INTRO
    for text, kinds in _SETTINGS:
        yield text
        for kind in kinds:
            yield f"### {kind.__name__}\n"
            yield prose(kind.__doc__ or "")
            yield table(("key", "type", "default"), keys(kind))
    yield _STREAMS
    yield _EXAMPLE
