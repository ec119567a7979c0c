"""Export of encoders: sizes that the exporter never saw, names, what it leaves behind, and what it must refuse."""

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from edgewright.exporters.graph.export import Graph, export_graph, load_graph, name_scopes
from edgewright.exporters.graph.transformers import encoder_batch, example_batch
from edgewright.exporters.precision.registry import PRECISIONS, make_variant
from edgewright.runtime.errors import ExportError
from tests.messages import refused

pytestmark = pytest.mark.xdist_group("exporters-graph-transformers")  # what these tests share is made once

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
AXES = {name: {0: "batch", 1: "time"} for name in INPUTS}
WORDS, LONGEST, PAD = 200, 64, 3
LIMITS = {"batch": 1024, "time": LONGEST}
EXAMPLE = example_batch(INPUTS, WORDS, PAD, LONGEST)


class Tiny(nn.Module):
    """BERT of one layer: a head on the mean of a text's tokens, or on every token, or start and end of a span."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        from transformers import BertConfig, BertModel

        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=WORDS, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64,
            max_position_embeddings=LONGEST, pad_token_id=PAD,
        )  # fmt: skip
        self.encoder: nn.Module = BertModel(config, add_pooling_layer=False)
        self.head = nn.Linear(32, 2 if kind == "span" else 5)
        self.kind = kind

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        given = dict(zip(INPUTS, inputs, strict=True))
        found = self.encoder(**given).last_hidden_state
        if self.kind == "mean":
            weights = given["attention_mask"].unsqueeze(2).float()
            found = (found * weights).sum(1) / weights.sum(1)
        logits: Tensor = self.head(found)
        return logits.unbind(2) if self.kind == "span" else logits


OUTPUTS = {"mean": ("logits",), "tokens": ("logits",), "span": ("start_logits", "end_logits")}


def export(module: nn.Module, path: Path, outputs: Sequence[str] = ("logits",)) -> Graph:
    return export_graph(module, EXAMPLE, path, INPUTS, outputs, AXES, "transformers", LIMITS)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Tiny, Graph]]:
    folder = tmp_path_factory.mktemp("encoders")
    modules = {kind: Tiny(kind) for kind in OUTPUTS}
    return {
        kind: (module.eval(), export(module, folder / f"{kind}.onnx", OUTPUTS[kind]))
        for kind, module in modules.items()
    }


def run(graph: Graph, inputs: Sequence[Tensor]) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(graph.path, providers=["CPUExecutionProvider"])
    found: list[np.ndarray] = session.run(
        None, {name: one.numpy() for name, one in zip(INPUTS, inputs, strict=True)}
    )
    return found


@pytest.mark.parametrize("kind", OUTPUTS)
@pytest.mark.parametrize("batch", [1, 2, 7])
def test_torch_and_the_graph_agree_at_every_size(
    exported: dict[str, tuple[Tiny, Graph]], kind: str, batch: int
) -> None:
    module, graph = exported[kind]
    for time in (1, 2, 5, 17, 40, LONGEST):
        given = encoder_batch(EXAMPLE, INPUTS, batch, time)
        assert batch == 1 or time == 1 or bool((given[1] == 0).any())
        with torch.no_grad():
            answer = module(*given)
        wanted = [answer] if isinstance(answer, Tensor) else list(answer)
        for ours, theirs in zip(run(graph, given), wanted, strict=True):
            read = (given[1] == 1).numpy() if kind != "mean" else ...
            difference = np.abs(ours - theirs.numpy())[read].max()
            assert difference <= 1e-4 * np.abs(theirs.numpy()[read]).max(), (batch, time)
            if kind != "span":
                assert (ours.argmax(-1) == theirs.numpy().argmax(-1))[read].all()


def test_padding_is_hidden(exported: dict[str, tuple[Tiny, Graph]]) -> None:
    _, graph = exported["mean"]
    given = encoder_batch(EXAMPLE, INPUTS, 4, 20)
    length = int(given[1][3].sum())
    assert length < 20
    alone = run(graph, [tensor[3:4, :length] for tensor in given])[0]
    assert np.abs(run(graph, given)[0][3] - alone[0]).max() <= 1e-5


def test_names_of_inputs_outputs_and_axes(exported: dict[str, tuple[Tiny, Graph]]) -> None:
    for kind, (_, graph) in exported.items():
        assert [(spec.name, spec.dtype, spec.shape) for spec in graph.inputs] == [
            (name, "int64", ("batch", "time")) for name in INPUTS
        ]
        assert graph.route == "transformers" and graph.note == "" and load_graph(graph.path) == graph
        assert tuple(spec.name for spec in graph.outputs) == OUTPUTS[kind]
    shapes = {kind: graph.outputs[0].shape for kind, (_, graph) in exported.items()}
    assert shapes == {"mean": ("batch", 5), "tokens": ("batch", "time", 5), "span": ("batch", "time")}
    model = onnx.load(exported["mean"][1].path)
    assert {"encoder.encoder.layer.0.output.LayerNorm", "head"} <= {
        name_scopes(node)[-1] for node in model.graph.node if name_scopes(node)
    }
    parameters = {
        one.dim_param for value in model.graph.value_info for one in value.type.tensor_type.shape.dim
    }
    assert {"batch", "time"} <= parameters and not any(name.startswith("s") for name in parameters)


def test_twice_is_the_same_file_and_tells_nothing_of_the_machine(
    exported: dict[str, tuple[Tiny, Graph]], tmp_path: Path
) -> None:
    again = export(Tiny("mean"), tmp_path / "again.onnx")
    assert again.path.read_bytes() == exported["mean"][1].path.read_bytes()
    model = onnx.load(again.path)
    del model.graph.initializer[:]
    assert b".py" not in model.SerializeToString()


def test_an_output_may_be_called_like_an_inner_value(
    exported: dict[str, tuple[Tiny, Graph]], tmp_path: Path
) -> None:
    module, graph = exported["mean"]
    inner = onnx.load(graph.path).graph.node[len(onnx.load(graph.path).graph.node) // 2].output[0]
    other = export(module, tmp_path / "model.onnx", (inner,))
    assert other.outputs[0].name == inner and other.outputs[0].shape == ("batch", 5)
    given = encoder_batch(EXAMPLE, INPUTS, 2, 9)
    assert (run(other, given)[0] == run(graph, given)[0]).all()


def test_the_module_is_as_before_and_nothing_is_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    module = Tiny("mean").train()
    module.encoder.eval()
    export(module, tmp_path / "model.onnx")
    assert module.training and not module.encoder.training
    assert "forward" not in vars(module)
    twin = copy.deepcopy(module)
    with torch.no_grad():
        twin.head.weight.zero_()
        twin.head.bias.fill_(1.0)
        assert bool((twin.eval()(*EXAMPLE) == 1.0).all())
    assert capfd.readouterr() == ("", "")


class Two(Tiny):
    """Takes the number of texts, or of tokens, that it was shown for one that never changes."""

    frozen = 0

    def forward(self, *inputs: Tensor) -> Tensor:
        share = (
            EXAMPLE[0].shape[self.frozen] if torch.compiler.is_exporting() else inputs[0].shape[self.frozen]
        )
        logits = super().forward(*inputs)
        assert isinstance(logits, Tensor)
        return logits * share


class Shown(Tiny):
    """Knows only the mask that it was shown."""

    def forward(self, *inputs: Tensor) -> Tensor:
        mask = torch.ones_like(inputs[1]) if torch.compiler.is_exporting() else inputs[1]
        logits = super().forward(inputs[0], mask, inputs[2])
        assert isinstance(logits, Tensor)
        return logits + 0.0 * inputs[1].sum()


def test_what_was_frozen_in_silence_is_refused(tmp_path: Path) -> None:
    for module, reason in (
        (Two("mean"), "away from torch's at 1 text"),
        (Shown("mean"), "away from torch's at "),
    ):
        path = tmp_path / "model.onnx"
        with pytest.raises(ExportError, match=reason) as raised:
            export(module, path)
        assert "\n" not in str(raised.value) and not path.exists(), reason


def test_other_outputs_than_named_are_refused(tmp_path: Path) -> None:
    with refused(ExportError):
        export(Tiny("span"), tmp_path / "model.onnx")


def test_an_example_has_padding_and_a_second_part() -> None:
    ids, mask, types = EXAMPLE
    assert ids.shape == mask.shape == types.shape == (3, 17)
    assert bool((ids[mask == 0] == PAD).all()) and bool((ids[mask == 1] != PAD).all())
    assert bool((mask == 0).any()) and bool((types == 1).any()) and int(ids.max()) < WORDS
    assert [one.shape[1] for one in example_batch(("input_ids",), WORDS, 0, 4)] == [4]
    for batch, time in ((1, 1), (2, 2), (7, 64), (5, 3)):
        ids, mask, _ = encoder_batch(EXAMPLE, INPUTS, batch, time)
        assert ids.shape == (batch, time) and bool((mask[:, 0] == 1).all() and (mask[0] == 1).all())
        assert bool((ids[mask == 0] == PAD).all()) and bool((ids[mask == 1] != PAD).all())


def test_every_precision_leaves_nothing_in_the_working_directory(
    exported: dict[str, tuple[Tiny, Graph]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    feeds = {name: one.numpy() for name, one in zip(INPUTS, EXAMPLE, strict=True)}
    for kind, (_, graph) in exported.items():
        for name, entry in PRECISIONS.items():
            made = make_variant(graph, name, [feeds], tmp_path / f"{kind} {entry.file}")
            if name.startswith("int8"):
                floats = [
                    tensor for tensor in onnx.load(made.path).graph.initializer if tensor.data_type == 1
                ]
                assert all(np.prod(tensor.dims) < 4096 for tensor in floats), "tables and weights are int8"
    assert list(here.iterdir()) == []
