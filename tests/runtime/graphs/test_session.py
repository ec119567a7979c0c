"""Sessions: what they run on, what they say, and a cache that can only help."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from edgewright.runtime.bundle.files import sha256_of_file
from edgewright.runtime.contracts import GraphSpec, TensorSpec
from edgewright.runtime.errors import BundleError, InputError, MachineError, ProviderError
from edgewright.runtime.graphs import cache as graph_cache
from edgewright.runtime.graphs import providers, session_options
from edgewright.runtime.graphs import session as session_module
from edgewright.runtime.graphs.cache import cache_directory, cache_slot
from edgewright.runtime.graphs.cpu import Cpu
from edgewright.runtime.graphs.session import open_graphs, open_session
from tests.messages import refused
from tests.runtime.small_bundle import colour_weights, reference_logits, write_graph

IMAGES = np.random.default_rng(0).normal(size=(3, 3, 16, 16)).astype(np.float32)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    write_graph(path)
    return path


def answers(path: Path, **options: Any) -> np.ndarray[Any, Any]:
    session = open_session(path, provider="cpu", threads=1, **options)
    result: np.ndarray[Any, Any] = session.run({"pixel_values": IMAGES})["logits"]
    return result


def cached(cache: Path, suffix: str = ".onnx") -> list[Path]:
    return sorted(cache.glob(f"*{suffix}")) if cache.exists() else []


def test_a_session_says_what_it_is(graph: Path) -> None:
    session = open_session(graph, provider="cpu")
    assert session.provider == "cpu"
    assert session.inputs == (TensorSpec("pixel_values", "float32", ("batch", 3, 16, 16)),)
    assert session.outputs == (TensorSpec("logits", "float32", ("batch", 3)),)


@pytest.mark.parametrize("optimise", [True, False])
@pytest.mark.parametrize("cache", [True, False])
def test_the_answers_are_right(graph: Path, optimise: bool, cache: bool) -> None:
    for _ in range(2):
        found = answers(graph, optimise=optimise, cache=cache)
        np.testing.assert_allclose(found, reference_logits(IMAGES), rtol=1e-5, atol=1e-6)


def test_an_unoptimised_session_runs_the_graph_as_it_is_written(graph: Path, own_cache: Path) -> None:
    open_session(graph, provider="cpu", optimise=False)
    assert not cached(own_cache), "an unoptimised graph has no place in the cache of optimised ones"


# --- providers --------------------------------------------------------------------------------------------


def test_cuda_without_a_driver_is_an_error(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "nvidia_driver_present", lambda: False)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [providers.CUDA, providers.CPU])
    with refused(ProviderError):
        open_session(graph, provider="cuda")
    assert open_session(graph, provider="cuda", allow_fallback=True).provider == "cpu"
    assert open_session(graph, provider="auto").provider == "cpu"


def test_cuda_without_a_build_for_it_is_an_error(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [providers.CPU])
    with refused(ProviderError):
        open_session(graph, provider="cuda")


class FakeSession:
    """An ONNX Runtime session that claims to run on the providers it was given, or on others."""

    claimed: list[str] | None = None

    def __init__(self, path: Any, options: Any, providers: list[Any], **others: Any) -> None:
        self.asked = [entry if isinstance(entry, str) else entry[0] for entry in providers]
        self.real = onnxruntime.capi.onnxruntime_inference_collection.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )

    def get_providers(self) -> list[str]:
        return self.claimed if self.claimed is not None else self.asked

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> type[FakeSession]:
    """A machine with a driver, and sessions whose provider the test decides."""
    fake = type("Fake", (FakeSession,), {})
    monkeypatch.setattr(session_module, "nvidia_driver_present", lambda: True)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [providers.CUDA, providers.CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", fake)
    return fake


def test_cuda_that_starts(graph: Path, driver: type[FakeSession]) -> None:
    assert open_session(graph, provider="cuda").provider == "cuda"
    assert open_session(graph, provider="auto").provider == "cuda"
    assert open_session(graph, provider="cpu").provider == "cpu"


def test_a_session_that_silently_fell_back(graph: Path, driver: type[FakeSession]) -> None:
    driver.claimed = ["CPUExecutionProvider"]
    with refused(ProviderError):
        open_session(graph, provider="cuda")
    assert open_session(graph, provider="cuda", allow_fallback=True).provider == "cpu"
    assert open_session(graph, provider="auto").provider == "cpu"


def test_another_provider_is_named_as_it_is(graph: Path, driver: type[FakeSession]) -> None:
    driver.claimed = ["QNNExecutionProvider", "CPUExecutionProvider"]
    assert open_session(graph, provider="cpu").provider == "QNNExecutionProvider"


@pytest.mark.parametrize("saturates", [True, False])
def test_every_session_is_told_how_int8_is_right(
    graph: Path, driver: type[FakeSession], monkeypatch: pytest.MonkeyPatch, saturates: bool
) -> None:
    told: list[bool] = []

    def opened(path: Any, options: Any, providers: list[Any], **others: Any) -> FakeSession:
        try:
            told.append(options.get_session_config_entry(session_options.UNSIGNED_WEIGHTS) == "1")
        except RuntimeError:  # there is no such entry
            told.append(False)
        return driver(path, options, providers, **others)

    monkeypatch.setattr(onnxruntime, "InferenceSession", opened)
    for module in (session_options, session_module):
        monkeypatch.setattr(module, "products_saturate", lambda: saturates)
    open_session(graph, "cuda")
    for cache in (False, True, True):
        open_session(graph, "cpu", cache=cache)
    open_session(graph, "cpu", steps=True)
    open_session(graph, "cpu", optimise=False)
    assert told == [saturates] * 6


def test_a_cuda_start_says_nothing(
    graph: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The real library, a driver that is claimed and not there: an error, and a silent terminal."""
    if providers.nvidia_driver_present():
        pytest.skip("this machine has a driver, so CUDA may start")
    monkeypatch.setattr(session_module, "nvidia_driver_present", lambda: True)
    with refused(ProviderError):
        open_session(graph, provider="cuda")
    assert open_session(graph, provider="auto").provider == "cpu"
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_the_driver_test_is_cheap_and_boolean() -> None:
    import time

    start = time.perf_counter()
    assert providers.nvidia_driver_present() in (True, False)
    assert time.perf_counter() - start < 0.05


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"provider": "gpu"}, ProviderError, "unknown provider 'gpu': choose one of auto, cpu, cuda"),
        ({"threads": 0}, InputError, "threads is 0"),
    ],
)
def test_wrong_options(graph: Path, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        open_session(graph, **options)


# --- what cannot run --------------------------------------------------------------------------------------


def test_files_that_are_no_graph(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_graph(tmp_path / "good.onnx")
    for name, content in [
        ("empty", b""),
        ("text", b"hello"),
        ("cut", (tmp_path / "good.onnx").read_bytes()[:99]),
    ]:
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(content)
        for cache in (True, False):
            with pytest.raises(BundleError, match=f"{name}.onnx is not a graph that onnxruntime") as caught:
                open_session(path, cache=cache)
            assert "\n" not in str(caught.value)
    for path in (tmp_path, tmp_path / "nothing.onnx"):
        with refused(BundleError):
            open_session(path)
    assert capfd.readouterr().err == ""


def test_feeds_that_the_graph_does_not_take(graph: Path) -> None:
    session = open_session(graph, provider="cpu")
    for feeds in (
        {},
        {"picture": IMAGES},
        {"pixel_values": IMAGES.astype(np.float64)},
        {"pixel_values": IMAGES[0]},
        {"pixel_values": IMAGES[:, :2]},
    ):
        with refused(InputError) as caught:
            session.run(feeds)
        assert "\n" not in str(caught.value)


def test_no_onnxruntime(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with refused(MachineError):
        open_session(graph)


def test_an_emptied_onnxruntime(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stays when one of the two packages is removed that overwrite each other: an empty folder."""
    monkeypatch.setitem(sys.modules, "onnxruntime", type(sys)("onnxruntime"))
    with refused(MachineError):
        open_session(graph)


# --- the cache --------------------------------------------------------------------------------------------


def test_the_cache_keeps_one_graph_with_its_digest(graph: Path, own_cache: Path) -> None:
    first = answers(graph)
    (kept,) = cached(own_cache)
    assert len(cached(own_cache, ".sha256")) == 1 and len(list(own_cache.iterdir())) == 2
    before = kept.stat().st_ino
    second = answers(graph)
    assert np.array_equal(first, second) and np.array_equal(first, answers(graph, cache=False))
    assert kept.stat().st_ino == before, "a whole graph is used, not written again"


def test_the_cache_is_really_used(graph: Path, own_cache: Path, tmp_path: Path) -> None:
    """Plant another graph, with its digest: only a cache that is read gives its answers."""
    first = answers(graph)
    (kept,) = cached(own_cache)
    write_graph(tmp_path / "planted.onnx", np.full((3, 3, 3, 3), 0.1, np.float32))
    kept.write_bytes((tmp_path / "planted.onnx").read_bytes())
    kept.with_suffix(".sha256").write_text(sha256_of_file(kept))
    assert not np.array_equal(first, answers(graph))
    assert np.array_equal(first, answers(graph, cache=False))


def spoil_graph(kept: Path) -> None:
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 1
    kept.write_bytes(content)


def cut_graph(kept: Path) -> None:
    kept.write_bytes(kept.read_bytes()[:-10])


def spoil_digest(kept: Path) -> None:
    kept.with_suffix(".sha256").write_text("nonsense")


def remove_digest(kept: Path) -> None:
    kept.with_suffix(".sha256").unlink()


def remove_graph(kept: Path) -> None:
    kept.unlink()


def useless_graph(kept: Path) -> None:
    kept.write_bytes(b"whole, and no graph")
    kept.with_suffix(".sha256").write_text(sha256_of_file(kept))


def binary_digest(kept: Path) -> None:
    kept.with_suffix(".sha256").write_bytes(b"\xff\xfe")


@pytest.mark.parametrize(
    "damage",
    [spoil_graph, cut_graph, spoil_digest, remove_digest, remove_graph, useless_graph, binary_digest],
)
def test_a_damaged_cache_is_made_again(graph: Path, own_cache: Path, damage: Callable[[Path], None]) -> None:
    first = answers(graph)
    (kept,) = cached(own_cache)
    whole = kept.read_bytes()
    damage(kept)
    assert np.array_equal(first, answers(graph))
    assert cached(own_cache) == [kept] and kept.read_bytes() == whole
    assert np.array_equal(first, answers(graph))


def test_the_cache_does_not_grow_forever(
    graph: Path, own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(graph)
    (first,) = cached(own_cache)
    monkeypatch.setattr(graph_cache, "_LARGEST_CACHE", int(2.5 * first.stat().st_size))
    left_over = own_cache / f".{'0' * 64}-1-0123abcd.onnx"
    foreign = own_cache / "my-model.onnx"
    foreign.write_bytes(bytes(100_000))
    os.utime(foreign, (0, 0))
    left_over.write_bytes(b"half")
    os.utime(left_over, (0, 0))
    os.utime(first, (1, 1))
    for number in (2, 3):
        write_graph(tmp_path / f"{number}.onnx", np.full((3, 3, 3, 3), number / 10, np.float32))
    answers(tmp_path / "2.onnx")
    (second,) = set(cached(own_cache)) - {first, foreign}
    assert first.exists() and not left_over.exists()
    os.utime(first, (1, 1))
    os.utime(second, (2, 2))
    answers(graph)  # used again, so the second is now the one unused for longest
    answers(tmp_path / "3.onnx")
    assert first.exists() and not second.exists() and len(list(own_cache.iterdir())) == 5
    assert foreign.exists(), "what others put there is not ours to remove"


def test_the_key_holds_all_that_matters(
    graph: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def place(*arguments: Any) -> Path:
        slot = cache_slot(*arguments)
        assert slot is not None and slot.graph.parent == own_cache
        return slot.graph

    base = place(graph, "d" * 64, "1.31.1", "cpu")
    assert base == place(graph, "d" * 64, "1.31.1", "cpu")
    others = {
        place(graph, "e" * 64, "1.31.1", "cpu"),
        place(graph, "d" * 64, "1.31.2", "cpu"),
        place(graph, "d" * 64, "1.31.1", "other"),
        place(graph, None, "1.31.1", "cpu"),
    }
    others.add(place(graph, "d" * 64, "1.31.1", "cpu", True))
    monkeypatch.setattr(graph_cache, "read_cpu", lambda: Cpu("another", frozenset({"avx2"})))
    others.add(place(graph, "d" * 64, "1.31.1", "cpu"))
    monkeypatch.setattr(graph_cache, "read_cpu", lambda: Cpu("another", None))
    others.add(place(graph, "d" * 64, "1.31.1", "cpu"))
    monkeypatch.setattr(graph_cache, "read_cpu", lambda: Cpu("a third", None))
    others.add(place(graph, "d" * 64, "1.31.1", "cpu"))
    assert len(others) == 8 and base not in others


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEWRIGHT_CACHE", "off")
    assert cache_directory() is None
    monkeypatch.setenv("EDGEWRIGHT_CACHE", str(tmp_path / "here"))
    assert cache_directory() == tmp_path / "here"
    monkeypatch.delenv("EDGEWRIGHT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory() == tmp_path / "xdg" / "edgewright"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_directory() == tmp_path / ".cache" / "edgewright"


def test_a_cache_that_is_off(graph: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("EDGEWRIGHT_CACHE", "off")
    answers(graph)
    assert not list(tmp_path.rglob("*.sha256"))


def file_in_the_way(cache: Path) -> None:
    cache.write_text("not a folder")


def unwritable_folder(cache: Path) -> None:
    cache.symlink_to("/proc")  # not even root may make a file here


def device_in_the_way(cache: Path) -> None:
    cache.symlink_to("/dev/full")


@pytest.mark.parametrize("trouble", [file_in_the_way, unwritable_folder, device_in_the_way])
def test_a_cache_that_cannot_be_written(
    graph: Path, own_cache: Path, trouble: Callable[[Path], None], capfd: pytest.CaptureFixture[str]
) -> None:
    trouble(own_cache)
    np.testing.assert_allclose(answers(graph), reference_logits(IMAGES), rtol=1e-5, atol=1e-6)
    assert capfd.readouterr().err == ""


def test_a_disk_that_is_full(graph: Path, own_cache: Path) -> None:
    """A process that may write 100 bytes stands for a full disk; the second start meets the remains."""
    program = (
        "import resource, sys, numpy as np\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "from edgewright.runtime.graphs.session import open_session\n"
        "session = open_session(sys.argv[1], provider='cpu', threads=1)\n"
        "image = np.full((1, 3, 16, 16), 0.5, np.float32)\n"
        "sys.stdout.write(session.run({'pixel_values': image})['logits'].tobytes().hex())\n"
    )
    outputs = []
    for _ in range(2):
        finished = subprocess.run(
            [sys.executable, "-c", program, str(graph)], capture_output=True, text=True, check=True
        )
        assert finished.stderr == ""
        outputs.append(finished.stdout)
    assert outputs[0] == outputs[1] and len(outputs[0]) == 3 * 4 * 2
    assert not [path for path in own_cache.glob(".*")]


def test_a_digest_that_cannot_be_written(
    graph: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, text: str) -> None:
        raise MachineError("no disk space left")

    monkeypatch.setattr(graph_cache, "write_text", refuse)
    np.testing.assert_allclose(answers(graph), reference_logits(IMAGES), rtol=1e-5, atol=1e-6)
    assert not list(own_cache.iterdir()), "nothing half written stays"


@pytest.mark.parametrize("place", ["w.bin", "model.onnx.data", "deep/weights"])
def test_weights_beside_the_graph_are_not_cached(tmp_path: Path, own_cache: Path, place: str) -> None:
    found = []
    for factor in (1.0, 2.0):
        folder = tmp_path / str(factor)
        path = folder / "model.onnx"
        write_graph(path, colour_weights() * np.float32(factor))
        (folder / place).parent.mkdir(exist_ok=True)
        onnx.save(onnx.load(path), path, save_as_external_data=True, location=place, size_threshold=0)
        assert cache_slot(path, "d" * 64, "1", "cpu") is None
        found.append(answers(path))
    same = (tmp_path / "1.0" / "model.onnx").read_bytes() == (tmp_path / "2.0" / "model.onnx").read_bytes()
    assert same, "two graphs that differ in their weights alone, which lie elsewhere"
    np.testing.assert_allclose(found[0], reference_logits(IMAGES), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[1], 2 * found[0], rtol=1e-5, atol=1e-6)
    assert not cached(own_cache)


def test_a_name_beside_the_graph_says_nothing(graph: Path) -> None:
    graph.with_name("model.onnx.data").write_bytes(b"x")
    assert cache_slot(graph, "d" * 64, "1", "cpu") is not None


def test_large_graphs_are_not_cached(graph: Path) -> None:
    with graph.open("ab") as file:
        file.truncate((1 << 30) + 1)
    assert cache_slot(graph, "d" * 64, "1", "cpu") is None


def test_many_threads_and_processes_share_the_cache(graph: Path, own_cache: Path) -> None:
    program = (
        "import sys, numpy as np\n"
        "from edgewright.runtime.graphs.session import open_session\n"
        "session = open_session(sys.argv[1], provider='cpu', threads=1)\n"
        "image = np.full((1, 3, 16, 16), 0.5, np.float32)\n"
        "print(session.run({'pixel_values': image})['logits'].tobytes().hex())\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(graph)],
            stdout=subprocess.PIPE,
            env=dict(os.environ),
            text=True,
        )
        for _ in range(3)
    ]
    results: list[np.ndarray[Any, Any]] = []
    threads = [threading.Thread(target=lambda: results.append(answers(graph))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    printed = {process.communicate()[0] for process in processes}
    assert all(process.returncode == 0 for process in processes) and len(printed) == 1
    assert len(results) == 6 and all(np.array_equal(results[0], result) for result in results)
    assert len(list(own_cache.iterdir())) == 2, "one graph, its digest, and nothing left over"


def test_one_session_many_threads(graph: Path) -> None:
    session = open_session(graph, provider="cpu")
    expected = session.run({"pixel_values": IMAGES})["logits"]
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(100):
            if not np.array_equal(session.run({"pixel_values": IMAGES})["logits"], expected):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("accelerated", [(), ("encoder",), ("decoder",), ("encoder", "decoder")])
def test_all_graphs_of_a_model_run_in_one_place(accelerated: tuple[str, ...]) -> None:
    """A provider that starts for one graph and not for another one is left alone: "cuda" means all of them."""
    asked: list[tuple[str, str]] = []
    spec = GraphSpec((TensorSpec("x", "float32", ("batch",)),), (TensorSpec("y", "float32", ("batch",)),))

    class Loaded:
        inputs, outputs = spec.inputs, spec.outputs

        def __init__(self, role: str, provider: str) -> None:
            asked.append((role, provider))
            self.provider = "cuda" if provider == "auto" and role in accelerated else "cpu"
            self.run = str

    def opener(path: Path, provider: str, **settings: Any) -> Any:
        assert settings == {"threads": 2, "digest": path.stem}
        return Loaded(path.stem, provider)

    roles = ("encoder", "decoder")
    graphs = open_graphs(
        {role: Path(f"{role}.onnx") for role in roles}, dict.fromkeys(roles, spec), 32, opener,
        {role: role for role in roles}, provider="auto", threads=2,
    )  # fmt: skip
    all_there = accelerated == roles
    assert graphs.provider == ("cuda" if all_there else "cpu") and (graphs.limits.tokens is None) is all_there
    mixed = len(accelerated) == 1
    assert asked == [(role, "auto") for role in roles] + [(role, "cpu") for role in roles if mixed]
