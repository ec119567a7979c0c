"""Random weights that a comparison can be trusted on, for tests and benchmarks without published ones.

Libraries initialise for training: heads and last normalisations start at zero, layer scales at a millionth,
BatchNorm statistics at 0 and 1. Such a network answers nearly the same to every image, and any graph would
seem to agree with it.
"""

import math

import torch
from torch import Tensor, nn

from edgewright.pipeline.models.model import BuiltModel

_LOGIT_SPREAD = 2.0
"""Standard deviation of the logits over the classes, about that of a trained classifier."""

_COMMON = 0.7
"""Share of the mean answer that the bias of the head takes out."""

_BRANCH = 0.3
"""Scale of a residual branch beside what it is added to."""

_LEAST_VARIANCE = 1.0
"""Of the mean over the channels of a BatchNorm."""


def random_images(count: int, size: tuple[int, int], seed: int = 0) -> Tensor:
    """Encoded images, float32 [count, 3, height, width]: smooth shapes of many colours, and some noise."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn((count, 3, 5, 5), generator=generator)
    images = nn.functional.interpolate(coarse, size=size, mode="bicubic", align_corners=False)
    contrast = 0.4 + 0.8 * torch.rand((count, 1, 1, 1), generator=generator)
    tint = 0.7 * torch.randn((count, 3, 1, 1), generator=generator)
    noise = 0.15 * torch.randn((count, 3, *size), generator=generator)
    return images * contrast + tint + noise


def randomise(built: BuiltModel, seed: int = 0, images: Tensor | None = None) -> Tensor:
    """Give `built.module` random weights of a trained network's scale, in place, and leave it in eval mode.

    Weights keep activations at their scale through the depth, nothing is zero, BatchNorm statistics are those
    of one forward pass over `images`, and the head is scaled so that the logits of one image differ by about
    two and their order differs between images.

    Args:
        images: float32 [N, 3, H, W], N >= 2; four `random_images` of the model's own size when left out.

    Returns:
        The logits for `images`, float32 [N, classes].
    """
    module = built.module.eval()
    if images is None:
        images = random_images(4, built.settings.crop, seed)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for layer in module.modules():
            _randomise_layer(layer)
        for layer in module.modules():
            _damp_residual(layer)
        _settle_statistics(module, images)
        for head in built.heads:
            _scale_head(module, head, images)
        return Tensor(module(images))


def _randomise_layer(layer: nn.Module) -> None:
    weight = getattr(layer, "weight", None)
    if isinstance(layer, (nn.Conv2d, nn.Linear)):
        # gain sqrt(2) pays for the half that a ReLU cuts off; transformers normalise after linear layers
        gain = math.sqrt(2.0) if isinstance(layer, nn.Conv2d) else 1.0
        nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.weight[0].numel()))
        if layer.bias is not None:
            nn.init.normal_(layer.bias, std=0.05)
        return
    for name, parameter in layer.named_parameters(recurse=False):
        if parameter is weight and parameter.ndim == 1:
            # the scale of a normalisation
            nn.init.uniform_(parameter, 0.7, 1.3)
        elif name == "bias":
            nn.init.normal_(parameter, std=0.1)
        elif parameter.abs().max() < 1e-3:  # layer scales, class tokens
            nn.init.uniform_(parameter, 0.1, 0.3)


def _damp_residual(block: nn.Module) -> None:
    """Let the residual branch of a ResNet or RegNet block add to what it branches from, not outweigh it.

    Otherwise a hundred layers blow a rounding error up until no two correct implementations agree.
    """
    from torchvision.models.regnet import ResBottleneckBlock

    last = getattr(block, "bn3", None) or getattr(block, "bn2", None)
    if isinstance(block, ResBottleneckBlock):
        block.f.c[1].weight.mul_(_BRANCH)
    elif hasattr(block, "downsample") and isinstance(last, nn.BatchNorm2d):
        last.weight.mul_(_BRANCH)


def _settle_statistics(module: nn.Module, images: Tensor) -> None:
    """BatchNorm statistics from one pass, all else in eval mode."""
    normalisations = [
        layer for layer in module.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)
    ]
    momenta = [layer.momentum for layer in normalisations]
    for layer in normalisations:
        layer.reset_running_stats()
        layer.momentum = None  # the plain average of what it sees
        layer.train()
    if normalisations:
        module(images)
    for layer, momentum in zip(normalisations, momenta, strict=True):
        layer.momentum = momentum
        layer.eval()
        # a channel that hardly moved on these few images would be blown up on others
        variance = layer.get_buffer("running_var")
        variance.clamp_(min=float(variance.mean()) * _LEAST_VARIANCE)


def _scale_head(module: nn.Module, head: str, images: Tensor) -> None:
    layer = module.get_submodule(head)
    seen: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        module(images)
    finally:
        hook.remove()
    features = seen[0]
    weight, bias = layer.get_parameter("weight"), layer.bias
    if bias is not None:
        nn.init.zeros_(layer.get_parameter("bias"))
    answers = layer(features)
    if answers.ndim == 2 and isinstance(bias, nn.Parameter):
        # take out most of what all images have in common, or one class would win for every image
        bias.copy_(-_COMMON * answers.mean(dim=0))
        answers = answers + bias
        bias.mul_(_LOGIT_SPREAD / answers.std(dim=1).mean())
    spread = answers.movedim(1, -1).std(dim=-1).mean()
    weight.mul_(_LOGIT_SPREAD / spread)
