"""Fixtures of the exporters' tests: one trained model, its variants and its verdict, made once."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from edgewright.exporters.bundle.write import Candidate
from edgewright.exporters.graph.export import export_graph
from edgewright.exporters.judge.judge import judge
from edgewright.exporters.precision.registry import make_variant
from edgewright.exporters.reference import Samples
from edgewright.exporters.verdict import Budget, Verdict
from tests.exporters.trained import VARIANTS, Trained, candidate_of, digits, reference_of, train


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All that uses the trained model runs in one process, so that it is trained, exported and judged once."""
    for item in items:
        if "trained" in getattr(item, "fixturenames", ()) and item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.xdist_group("trained"))


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def trained(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    images, targets = digits()
    module = train(images[:900], targets[:900])
    reference = reference_of(module)
    evaluation = Samples(
        tuple(f"digits/{row}" for row in range(1200, 1500)),
        list(images[1200:1500]),
        targets[1200:1500].tolist(),
    )
    encoded = [reference.task.encode(image)["pixel_values"] for image in images[1000:1064]]
    calibration = [{"pixel_values": np.stack(encoded[start : start + 8])} for start in range(0, 64, 8)]
    folder = tmp_path_factory.mktemp("trained")
    graph = export_graph(module, (torch.zeros(2, 3, 32, 32),), folder / "model.onnx")
    variants = {name: make_variant(graph, name, calibration, folder / f"{name}.onnx") for name in VARIANTS}
    return Trained(module, reference, evaluation, calibration, graph, variants)


@pytest.fixture(scope="session")
def candidate(trained: Trained) -> Candidate:
    return candidate_of(trained.reference, {"fp32": trained.graph, **trained.variants})


@pytest.fixture(scope="session")
def verdict(trained: Trained, candidate: Candidate) -> Verdict:
    return judge(trained.reference, candidate, trained.evaluation, Budget(), seconds=1.0)
