"""`auto` takes what is proven for this class of CPU: by the manifest, or by a self-test that this machine keeps."""

import dataclasses
import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest

from edgewright.runtime import Engine, open_bundle, selftest
from edgewright.runtime.bundle.manifest import Manifest, Proof, Tolerance, Variant
from edgewright.runtime.graphs import cpu, proven, variants
from edgewright.runtime.graphs.cpu import class_of, read_cpu
from edgewright.runtime.graphs.proven import best_proven, keep_proofs, kept_proofs, place_of, proof_of
from edgewright.runtime.graphs.session_options import cpu_class
from tests.command import Call
from tests.runtime.small_bundle import colour_weights, make_bundle, write_graph

XEON = "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Gold 6338N CPU\nflags\t\t: fpu sse4_1 avx2 avx512f avx512_vnni\n"
ULTRA = "model name\t: Intel(R) Core(TM) Ultra 7 155H\nflags\t\t: fpu sse4_1 avx avx2 avx_vnni fma\n"
HASWELL = (
    "model name\t: Intel(R) Core(TM) i7-4770 CPU @ 3.40GHz\nflags\t\t: fpu sse4_1 sse4_2 avx f16c avx2 fma\n"
)
SKYLAKE = "model name\t: Intel(R) Xeon(R) Platinum 8124M\nflags\t\t: fpu avx2 avx512f avx512bw avx512vl\n"
SANDY = "model name\t: Intel(R) Core(TM) i5-2500K CPU\nflags\t\t: fpu sse4_1 sse4_2 avx\n"
PI_4 = "processor\t: 0\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU part\t: 0xd08\nModel\t: Raspberry Pi 4 Model B\n"
PI_5 = "processor\t: 0\nFeatures\t: fp asimd evtstrm aes crc32 atomics asimddp cpuid\nCPU part\t: 0xd0b\n"
SIFIVE = "processor\t: 0\nhart\t\t: 1\nisa\t\t: rv64imafdc\n"


@pytest.mark.parametrize(
    ("text", "machine", "saturates", "wanted"),
    [
        (XEON, "x86_64", False, "x86-64 with VNNI"),
        (ULTRA, "AMD64", False, "x86-64 with VNNI"),
        (XEON, "x86_64", True, "x86-64 with AVX2"),  # an emulator, with the flags of its host
        (HASWELL, "x86_64", True, "x86-64 with AVX2"),
        (SKYLAKE, "x86_64", True, "x86-64 with AVX2"),
        (SANDY, "x86_64", True, "x86-64"),
        (PI_4, "aarch64", False, "arm64"),
        (PI_5, "aarch64", False, "arm64"),
        (SIFIVE, "riscv64", False, "riscv64"),
        (None, "arm64", False, "arm64"),  # macOS
        (None, "ARM64", False, "arm64"),  # Windows
        (None, "AMD64", False, "x86-64 with VNNI"),
        (None, "x86_64", True, "x86-64 with AVX2"),
        (PI_4, "armv7l", False, "armv7l"),
        (None, "", False, "unknown"),
    ],
)
def test_classes_of_cpus(
    text: str | None,
    machine: str,
    saturates: bool,
    wanted: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "cpuinfo"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    monkeypatch.setattr(cpu, "CPUINFO", file)
    assert class_of(read_cpu(), machine, saturates) == wanted


HERE = cpu_class()
ELSEWHERE = "x86-64 with AVX2" if HERE == "arm64" else "arm64"


def bundle_of(root: Path, first: str = "copy", ranking: tuple[str, ...] = (), **on: str) -> Path:
    """A bundle whose verdict prefers `first`, and whose variants are proven `on` one place each."""

    def change(manifest: Manifest) -> Manifest:
        write_graph(root / "onnx" / "model_third.onnx", colour_weights() * np.float32(0.999))
        third = Variant("third", {"model": "onnx/model_third.onnx"}, Tolerance(1e-2))
        variants = tuple(
            dataclasses.replace(one, proven=(Proof(on[one.name], "measured", "1.24.0"),))
            if one.name in on
            else one
            for one in (*manifest.variants, third)
        )
        verdict = {"ranking": list(ranking)} if ranking else {}
        return dataclasses.replace(manifest, variants=variants, default_variant=first, verdict=verdict)

    return make_bundle(root, change)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("EDGEWRIGHT_CACHE", str(folder))
    return folder


def test_what_the_manifest_proves_for_this_class_is_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Engine(bundle_of(tmp_path / "bundle", copy=HERE), provider="cpu", cache=False) as found:
        assert found.variant == "copy"
        assert found.proven == Proof(HERE, "measured", "1.24.0")
    assert caplog.messages == []


def test_what_is_proven_elsewhere_is_not_and_the_log_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = bundle_of(tmp_path / "bundle", copy=ELSEWHERE)
    caplog.set_level(logging.WARNING, "edgewright")
    for _ in range(3):
        with Engine(bundle, provider="cpu", cache=False) as found:
            assert found.variant == "fp32" and found.proven.how == "not" and found.proven.on == HERE
    (said,) = caplog.messages
    assert said == (
        f"auto runs fp32: copy is not proven on {HERE}: 'edgewright verify {bundle}' proves it where it says yes"
    )
    with Engine(bundle, "copy", "cpu", cache=False) as asked:
        assert asked.variant == "copy" and asked.proven.how == "not"
    assert len(caplog.messages) == 1


def test_the_verdict_s_order_decides_among_what_is_proven(tmp_path: Path) -> None:
    ranking = ("copy", "third", "fp32")
    for number, (on, wanted) in enumerate(
        [
            ({"copy": ELSEWHERE, "third": HERE, "fp32": HERE}, "third"),
            ({"copy": HERE, "third": HERE}, "copy"),
            ({"fp32": HERE, "third": ELSEWHERE}, "fp32"),
            ({"copy": "cuda", "third": "cuda"}, "fp32"),
        ]
    ):
        opened = open_bundle(bundle_of(tmp_path / str(number), "copy", ranking, **on))
        assert best_proven(opened, HERE).name == wanted
        assert best_proven(opened, "cuda").name == ("copy" if number == 3 else "fp32")


@pytest.mark.parametrize("ranking", [7, {"copy": 1}, [["copy"]], ["no such", 3]])
def test_an_odd_ranking_is_passed_over(tmp_path: Path, ranking: object) -> None:
    def change(manifest: Manifest) -> Manifest:
        return dataclasses.replace(manifest, verdict={"ranking": ranking})

    assert best_proven(open_bundle(make_bundle(tmp_path / "bundle", change)), HERE).name == "fp32"


def test_a_self_test_proves_a_variant_here_and_auto_obeys(tmp_path: Path, cache: Path) -> None:
    bundle = bundle_of(tmp_path / "bundle", copy=ELSEWHERE)
    before = {file: file.read_bytes() for file in bundle.rglob("*") if file.is_file()}
    assert all(row.passed for row in selftest(bundle, provider="cpu"))
    with Engine(bundle, provider="cpu", cache=False) as found:
        assert found.variant == "copy" and found.proven.how == "measured" and found.proven.on == HERE
    assert {file: file.read_bytes() for file in bundle.rglob("*") if file.is_file()} == before
    (kept,) = cache.glob("proven-*.json")
    assert os.name == "nt" or kept.stat().st_mode & 0o777 == 0o600


def test_a_self_test_that_says_no_is_heeded_too(tmp_path: Path) -> None:
    root = tmp_path / "bundle"

    def change(manifest: Manifest) -> Manifest:
        write_graph(root / "onnx" / "model_copy.onnx", colour_weights()[::-1].copy())
        variants = tuple(
            dataclasses.replace(one, proven=(Proof(HERE, "measured", "1.24.0"),)) for one in manifest.variants
        )
        return dataclasses.replace(manifest, variants=variants, default_variant="copy")

    make_bundle(root, change)
    assert best_proven(open_bundle(root), HERE).name == "copy"
    rows = selftest(root, ["copy"], provider="cpu")
    assert not rows[0].passed
    opened = open_bundle(root)
    assert best_proven(opened, HERE).name == "fp32"
    assert proof_of(opened, opened.manifest.variant("copy"), HERE).how == "not"


def test_what_is_kept_counts_for_this_bundle_class_and_version_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = (
        open_bundle(bundle_of(tmp_path / name, first))
        for name, first in (("one", "copy"), ("other", "third"))
    )
    assert keep_proofs(one, HERE, {"copy": True, "third": False})
    assert keep_proofs(one, HERE, {"fp32": True})
    assert kept_proofs(one, HERE) == {"copy": True, "third": False, "fp32": True}
    assert kept_proofs(other, HERE) == kept_proofs(one, ELSEWHERE) == {}
    monkeypatch.setattr(proven, "_version", lambda: "1.99.0")
    assert kept_proofs(one, HERE) == {}


def test_a_file_that_is_not_the_user_s_own_proves_nothing(tmp_path: Path, cache: Path) -> None:
    opened = open_bundle(bundle_of(tmp_path / "bundle"))
    assert keep_proofs(opened, HERE, {"copy": True})
    (kept,) = cache.glob("proven-*.json")
    content = kept.read_bytes()

    def counts() -> bool:
        return kept_proofs(opened, HERE) == {"copy": True}

    assert counts()
    document = json.loads(content)
    others = [{**document, "on": ELSEWHERE}, {**document, "variants": [1]}, {**document, "more": 1}]
    for odd in (b"", b"{", b"[]", b"[" * 9000, *(json.dumps(other).encode() for other in others)):
        kept.write_bytes(odd)
        assert not counts()
    kept.write_bytes(content)
    assert counts()
    if os.name != "nt":
        for mode in (0o620, 0o602, 0o666):
            kept.chmod(mode)
            assert not counts()
        kept.chmod(0o600)
        other = tmp_path / "other.json"
        os.link(kept, other)  # whoever holds the other name can change it
        assert not counts()
        kept.unlink()
        kept.symlink_to(other)
        assert not counts()
        kept.unlink()
        other.rename(kept)
        assert counts()
        if os.geteuid() == 0:
            os.chown(kept, 12345, -1)
            assert not counts()
    kept.unlink()
    kept.mkdir()
    assert not counts()


def test_without_a_cache_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Call) -> None:
    bundle = bundle_of(tmp_path / "bundle")
    monkeypatch.setenv("EDGEWRIGHT_CACHE", "off")
    assert not keep_proofs(open_bundle(bundle), HERE, {"copy": True})
    told = cli("verify", bundle)
    assert told.code == 0
    assert f"auto runs fp32 here: no variant is proven on {HERE}, and the cache could not keep" in told.out
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGEWRIGHT_CACHE", str(tmp_path / "file"))  # a file stands where a folder is needed
    assert not keep_proofs(open_bundle(bundle), HERE, {"copy": True})


def test_verify_says_what_auto_takes_from_now_on(
    tmp_path: Path, cli: Call, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = bundle_of(tmp_path / "bundle")
    monkeypatch.setenv("EDGEWRIGHT_CACHE", str(cache))
    photo = tmp_path / "bundle" / "golden" / "0.png"
    first = cli("predict", bundle, photo, "--json")
    assert first.json["variant"] == "fp32" and "'edgewright verify" in first.err
    told = cli("verify", bundle, "--provider", "cpu")
    assert told.code == 0 and f"auto runs copy here: measured on {HERE}, onnxruntime" in told.out
    assert cli("verify", bundle, "--json").json["auto"]["variant"] == "copy"
    then = cli("predict", bundle, photo, "--json")
    assert then.json["variant"] == "copy" and then.err == ""


def test_the_provider_that_really_runs_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = bundle_of(tmp_path / "bundle", "copy", ("copy", "third"), copy="cuda", third=HERE)
    monkeypatch.setattr(variants, "nvidia_driver_present", lambda: True)  # but no session starts on it
    with Engine(bundle, cache=False) as found:
        if found.provider == "cpu":
            assert (found.variant, found.proven.on) == ("third", HERE)
        else:
            assert (found.variant, found.proven.on) == ("copy", "cuda")


def test_places() -> None:
    assert (place_of("cpu"), place_of("cuda")) == (HERE, "cuda")
