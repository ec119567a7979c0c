"""fp32 parity of every torchvision classification model: torch against ONNX Runtime at batch 1, 3 and 7.

    python benchmarks/parity_sweep.py            every model not yet in benchmarks/parity.jsonl, then the table
    python benchmarks/parity_sweep.py 'resnet*'  those that match, measured anew

Weights are random (no hub is needed) but give answers of a normal size; inputs are crops of the two photographs that
scikit-learn ships, encoded as a device would. Each model has a process of its own. Error is the largest absolute
difference over the output scale, the largest absolute output for the seven images; a decision counts as a tie when
torch's own two best logits lie closer together than twice the largest difference.
"""

import argparse
import fnmatch
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "parity.jsonl"
TABLE = HERE / "parity.md"
BATCHES = (1, 3, 7)
LIMIT = 1e-4

EXTRA = ("timm:inception_v4", "timm:inception_resnet_v2")
"""Named in the README beside torchvision's own."""


def photo_crops(count: int) -> list[Any]:
    """`count` different square RGB crops of real photographs, uint8."""
    from sklearn.datasets import load_sample_images

    photos = load_sample_images().images
    side = 400
    return [
        photos[index % 2][(index * 3) : side + (index * 3), (index * 31) : side + (index * 31)]
        for index in range(count)
    ]


def measure(name: str) -> dict[str, Any]:
    """Build, export and compare one model in this process."""
    import numpy as np
    import torch

    from benchmarks.randomise import randomise
    from edgewright.exporters.graph.export import export_graph
    from edgewright.pipeline.models.vision.build import build_model
    from edgewright.pipeline.tasks.image_classification import ImageClassification
    from edgewright.runtime.graphs.session import open_session

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    labels = tuple(str(index) for index in range(10))
    built = build_model(name, classes=len(labels), weights="none", seed=0)
    randomise(built, seed=0)
    task = ImageClassification(labels).device_task(built.settings, labels)
    crops = photo_crops(max(BATCHES))
    images = task.collate([task.encode(crop) for crop in crops])["pixel_values"]
    row: dict[str, Any] = {
        "model": name,
        "input": built.settings.crop[0],
        "encode_equal": encode_equals_library(name, crops[0], images[0]),
    }
    row["parameters"] = sum(parameter.numel() for parameter in built.module.parameters())
    with tempfile.TemporaryDirectory() as folder:
        before = time.perf_counter()
        graph = export_graph(built.module, (torch.from_numpy(images[:2]),), Path(folder) / "model.onnx")
        row |= {
            "route": graph.route,
            "note": graph.note,
            "export_s": round(time.perf_counter() - before, 1),
            "mb": round(graph.size / 1e6, 1),
        }
        row["auxiliary_exported"] = any(
            path in graph.path.read_bytes().decode("latin-1") for path in built.auxiliary_heads
        )
        session = open_session(graph.path, provider="cpu", threads=1, cache=False)
        ties = agreed = 0
        with torch.inference_mode():
            scale = float(built.module(torch.from_numpy(images)).abs().max())
            for batch in BATCHES:
                wanted = built.module(torch.from_numpy(images[:batch])).numpy()
                found = session.run({"pixel_values": images[:batch]})["logits"]
                difference = float(np.abs(found - wanted).max())
                row[f"error_{batch}"] = difference / scale
                best = np.sort(wanted, axis=1)
                clear = best[:, -1] - best[:, -2] > 2 * difference
                ties += int((~clear).sum())
                agreed += int((found.argmax(1) == wanted.argmax(1))[clear].sum())
                row["spread"] = float(wanted.std(axis=0).mean() / np.abs(wanted).max())
    row |= {"decisions": sum(BATCHES) - ties, "agreed": agreed, "ties": ties}
    row["holds"] = all(row[f"error_{batch}"] <= LIMIT for batch in BATCHES) and agreed == row["decisions"]
    row["holds"] = row["holds"] and row["encode_equal"] is not False and not row["auxiliary_exported"]
    return row


def encode_equals_library(name: str, crop: Any, encoded: Any) -> bool | None:
    """Whether the library's own preprocessing of the same picture gives the very same numbers."""
    import numpy as np
    from PIL import Image

    if name.startswith("timm:"):
        import timm

        config = timm.data.resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(name[5:]).to_dict())
        transform = timm.data.create_transform(**config)
    else:
        from torchvision.models import get_model_weights

        transform = get_model_weights(name).DEFAULT.transforms()
    return bool(np.array_equal(transform(Image.fromarray(crop)).numpy(), encoded))


def run_one(name: str, seconds: int) -> dict[str, Any]:
    """One model in a process of its own; what goes wrong becomes its row."""
    try:
        done = subprocess.run(
            [sys.executable, __file__, "--one", name],
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"model": name, "holds": False, "note": f"took longer than {seconds} s"}
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        return {"model": name, "holds": False, "note": reason[:300]}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def known_rows() -> dict[str, dict[str, Any]]:
    """The rows measured so far, by model."""
    if not RESULTS.exists():
        return {}
    return {row["model"]: row for row in map(json.loads, RESULTS.read_text(encoding="utf-8").splitlines())}


def table(rows: dict[str, dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "# fp32 parity, torch against ONNX Runtime (CPU)",
        "",
        "Made by `python benchmarks/parity_sweep.py`; the script's head says how. Error: largest absolute difference",
        "over the output scale (of most of torchvision's rows: of that batch alone, which is stricter). Encode: the",
        "device's preprocessing equals the library's own, bit for bit.",
        "",
        f"{sum(bool(row['holds']) for row in rows.values())} of {len(rows)} models hold: error <= {LIMIT:g} at batch "
        "1, 3 and 7, every decision away from ties agrees, encode equal.",
        "",
        "| model | parameters | input | route | error b1 | error b3 | error b7 | decisions | encode | holds |",
        "| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    for name, row in sorted(rows.items()):
        if "error_1" not in row:
            lines.append(f"| {name} | | | | | | | | | NO: {row.get('note', '')} |")
            continue
        errors = " | ".join(f"{row[f'error_{batch}']:.1e}" for batch in BATCHES)
        encode = {True: "equal", False: "DIFFERS", None: "-"}[row["encode_equal"]]
        lines.append(
            f"| {name} | {row['parameters'] / 1e6:.1f} M | {row['input']} | {row['route']} | {errors} "
            f"| {row['agreed']}/{row['decisions']} | {encode} | {'yes' if row['holds'] else 'NO'} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pattern", nargs="?", help="measure anew the models whose name matches")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=int, default=900, help="limit for one model")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one)))
        return 0
    from edgewright.pipeline.families import list_models

    rows = known_rows()
    entries = {entry.name: entry.parameters or 0 for entry in list_models() if entry.input_size}
    names = [*sorted(entries, key=lambda name: entries[name]), *EXTRA]
    if arguments.pattern:
        names = [name for name in names if fnmatch.fnmatchcase(name, arguments.pattern)]
    else:
        names = [name for name in names if name not in rows]
    for number, name in enumerate(names, 1):
        rows[name] = run_one(name, arguments.seconds)
        print(
            f"{number}/{len(names)} {name}: {'holds' if rows[name]['holds'] else rows[name]}",
            file=sys.stderr,
            flush=True,
        )
        RESULTS.write_text("".join(json.dumps(rows[key]) + "\n" for key in sorted(rows)), encoding="utf-8")
        TABLE.write_text(table(rows), encoding="utf-8")
    return int(not all(row["holds"] for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
