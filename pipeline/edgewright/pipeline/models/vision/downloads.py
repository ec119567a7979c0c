"""What to say when published weights cannot be had."""

from edgewright.runtime.errors import ModelError


def unreachable(model: str, error: Exception) -> ModelError:
    """One line naming the cause and both ways out, for any error a download raised."""
    lines = str(error).strip().splitlines()
    cause = f"{type(error).__name__}: {lines[0][:160]}" if lines else type(error).__name__
    return ModelError(
        f"the published weights of {model} could not be fetched ({cause}): "
        "bring a .safetensors file as weights: path, or set weights: none to start from random weights"
    )
