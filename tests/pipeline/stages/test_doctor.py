"""What doctor says of CPUs, packages and hubs that this machine does not have."""

import io
from email.message import Message
from http.client import BadStatusLine
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request

import pytest

from edgewright.pipeline.stages import doctor
from edgewright.pipeline.stages.doctor import ProviderFinding, examine, report_text
from edgewright.runtime.graphs import cpu, session_options

INTEL = (
    "processor : 0\nmodel name : Intel(R) Xeon(R) Gold 6338N CPU\nflags : fpu avx2 avx512f avx512_vnni sse2\n"
)
CLIENT = "model name\t: Intel(R) Core(TM) Ultra 7\nflags\t\t: avx2 avx_vnni\n"
OLD = "model name : Intel(R) Core(TM) i5-4590\nflags : fpu avx avx2\n"
PI_5 = "processor : 0\nBogoMIPS : 108.00\nFeatures : fp asimd asimdrdm asimddp\nCPU part : 0xd0b\n"
NO_DOT_PRODUCT = "int8 to be smaller but not faster"


def on_cpu(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str | None) -> doctor.Findings:
    """The findings on a machine whose /proc/cpuinfo holds `text`; None for one that has no such file."""
    file = folder / "cpuinfo"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    monkeypatch.setattr(cpu, "CPUINFO", file)
    return examine(try_hub=False)


@pytest.mark.parametrize(
    ("text", "has"),
    [
        (INTEL, {"avx2", "avx512f", "avx512_vnni"}),
        (CLIENT, {"avx2", "avx_vnni"}),
        (OLD, {"avx2"}),
        (PI_5, {"asimddp"}),
    ],
)
def test_features_that_decide_how_fast_int8_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, has: set[str]
) -> None:
    found = on_cpu(monkeypatch, tmp_path, text)
    assert {name for name, there in found.features.items() if there} == has
    assert any(NO_DOT_PRODUCT in line for line in found.advice) == (text == OLD)
    lines = report_text(found).splitlines()
    for name in found.features:
        (line,) = (line for line in lines if f"  {name} " in line)
        assert line.split()[0] == ("yes" if name in has else "no")
    if text == INTEL:
        assert found.cpu == "Intel(R) Xeon(R) Gold 6338N CPU"


def test_a_system_that_does_not_tell_gets_no_false_advice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = on_cpu(monkeypatch, tmp_path, None)
    assert found.features == {} and found.cpu
    assert not any(NO_DOT_PRODUCT in line for line in found.advice)
    assert "avx2" not in report_text(found)


@pytest.mark.parametrize("saturates", [True, False])
def test_how_int8_is_computed(monkeypatch: pytest.MonkeyPatch, saturates: bool) -> None:
    monkeypatch.setattr(session_options, "products_saturate", lambda: saturates)
    found = examine(try_hub=False)
    assert found.int8_saturates is saturates
    (line,) = (line for line in report_text(found).splitlines() if line.startswith("int8 "))
    assert ("no VNNI" in line and "exact, but slower" in line) == saturates


def test_packages_that_fight_and_those_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"onnxruntime": "1.31.0", "onnxruntime-gpu": "1.31.0"}
    monkeypatch.setattr(doctor, "_version", installed.get)
    monkeypatch.setattr(doctor, "_providers", lambda: (ProviderFinding("CUDA", False, "no driver"),))
    found = examine(try_hub=False)
    text = "\n".join(found.advice)
    assert "overwrite each other" in text
    assert "no provider starts: pip install 'edgewright[cpu]'" in text
    assert "torch is absent: this machine runs bundles" in text
    assert "FAILS   CUDA: no driver" in report_text(found)


def test_no_onnxruntime_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    session_options.products_saturate.cache_clear()
    found = examine(try_hub=False)
    (provider,) = found.providers
    assert not provider.starts and "edgewright[cpu]" in provider.reason
    assert found.int8_saturates is None
    assert "\nint8 " not in report_text(found)


@pytest.mark.parametrize(
    ("answer", "there"),
    [
        (None, True),
        (HTTPError("https://x/", 403, "Forbidden", Message(), None), True),
        (URLError("Tunnel connection failed: 403 Forbidden"), False),
        (URLError(OSError("Name or service not known")), False),
        (TimeoutError("timed out"), False),
        (BadStatusLine("x"), False),
    ],
)
def test_hubs_are_asked_once_each_the_way_a_download_would(
    monkeypatch: pytest.MonkeyPatch, answer: Exception | None, there: bool
) -> None:
    asked: list[str] = []

    def urlopen(request: Request, timeout: float) -> io.BytesIO:
        assert request.get_method() == "HEAD" and timeout <= 3
        asked.append(request.full_url)
        if answer is not None:
            raise answer
        return io.BytesIO()

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    assert examine().hubs == {"torchvision weights": there, "Hugging Face hub": there}
    assert asked == ["https://download.pytorch.org/", "https://huggingface.co/"]
