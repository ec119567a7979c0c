"""Every target of the fuzz."""

from tests.fuzz import bundles, commands, engines, readers, workstation

TARGETS = (
    *readers.TARGETS,
    *bundles.TARGETS,
    *engines.TARGETS,
    *workstation.TARGETS,
    *commands.TARGETS,
)


def import_libraries() -> None:
    """Import what takes long before any process is forked."""
    import importlib

    for name in (
        "onnx", "onnxruntime", "pyarrow.parquet", "soundfile", "torch", "transformers", "safetensors.torch",
        "PIL.Image",
        "edgewright.pipeline.stages.export", "edgewright.pipeline.cli.main", "optimum.exporters.tasks",
    ):  # fmt: skip
        importlib.import_module(name)
