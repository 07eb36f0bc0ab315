"""EfficientNet-Lite as a transformers vision tower: image to a grid of feature vectors, for LLaVA's connector

The published architecture (Tan and Le, arXiv 1905.11946, in its Lite form for small devices): inverted
residual blocks with ReLU6 and without squeeze-and-excitation, whose stem and head keep their width in every
size of the family. Only Lite0 is described by the defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel, initialization
from transformers.modeling_outputs import BaseModelOutput

LITE0_STAGES = [
    # blocks, kernel, stride, expansion, channels
    [1, 3, 1, 1, 16],
    [2, 3, 2, 6, 24],
    [2, 5, 2, 6, 40],
    [3, 3, 2, 6, 80],
    [3, 5, 1, 6, 112],
    [4, 5, 2, 6, 192],
    [1, 3, 1, 6, 320],
]


class EfficientNetLiteConfig(PreTrainedConfig):
    """Sizes of an EfficientNet-Lite.

    Args:
        hidden_size: width of a feature vector: the head's channels, or what the taps add up to.
        stem_channels: channels behind the first convolution.
        stages: (blocks, kernel, stride of the first block, expansion, channels) of each stage.
        taps: stages, from 0, whose last maps are shown side by side instead of the head's; a finer map's
            cells in a cell of the coarsest are put one behind the other. Empty: the head.
        pooling: side of the square of grid cells whose mean is one feature vector; 1 keeps all of them.
        image_size: side of the images it is shown, pixels; the network itself takes any size.
        batch_norm_eps: of all batch norms; 1e-3 is what the ImageNet weights were trained with.
    """

    model_type = "efficientnet_lite"
    base_config_key = "vision_config"

    hidden_size: int = 1280
    stem_channels: int = 32
    stages: list[list[int]] | None = None
    taps: list[int] | None = None
    pooling: int = 1
    image_size: int = 224
    batch_norm_eps: float = 1e-3

    def __post_init__(self, **kwargs: Any) -> None:
        self.stages = [list(stage) for stage in self.stages or LITE0_STAGES]
        self.taps = list(self.taps or ())
        if self.taps:
            self.hidden_size = sum(self.stages[tap][-1] * self.cells(tap) ** 2 for tap in self.taps)
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]

    def stride_of(self, stage: int) -> int:
        """Side in pixels of a cell of the stage's maps."""
        return 2 * prod(step for _, _, step, _, _ in (self.stages or [])[: stage + 1])

    def cells(self, stage: int) -> int:
        """Cells of the stage's maps along the side of a cell of the last tap."""
        return self.stride_of((self.taps or [stage])[-1]) // self.stride_of(stage)

    @property
    def patch_size(self) -> int:
        """Side in pixels of the square that a feature vector stands for."""
        last = self.taps[-1] if self.taps else len(self.stages or ()) - 1
        return self.pooling * self.stride_of(last)


class SamePadded(nn.Conv2d):
    """A convolution whose output has ceil(size / stride) places; an odd rest of padding goes right and below.

    That is where TensorFlow puts it, in which the weights were trained: even padding on both sides would
    shift every map of a strided layer by half a place.
    """

    def forward(self, input: Tensor) -> Tensor:
        needed = [
            max((-(-size // stride) - 1) * stride + kernel - size, 0)
            for size, stride, kernel in zip(input.shape[-2:], self.stride, self.kernel_size, strict=True)
        ]
        below, right = needed
        sides = [right // 2, right - right // 2, below // 2, below - below // 2]
        return super().forward(nn.functional.pad(input, sides) if any(sides) else input)


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm, and ReLU6 where one is wanted."""

    def __init__(
        self, inputs: int, outputs: int, *, kernel: int, stride: int, groups: int, eps: float, relu: bool
    ) -> None:
        super().__init__()
        self.conv = SamePadded(inputs, outputs, kernel, stride=stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=eps)
        self.relu = relu

    def forward(self, maps: Tensor) -> Tensor:
        maps = self.norm(self.conv(maps))
        return nn.functional.relu6(maps) if self.relu else maps


class InvertedResidual(nn.Module):
    """Widen, look around channel by channel, narrow; added to the input where both have the same shape."""

    def __init__(
        self, inputs: int, outputs: int, *, kernel: int, stride: int, expansion: int, eps: float
    ) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand: nn.Module = nn.Identity()
        if expansion > 1:
            self.expand = ConvNorm(inputs, wide, kernel=1, stride=1, groups=1, eps=eps, relu=True)
        self.depthwise = ConvNorm(wide, wide, kernel=kernel, stride=stride, groups=wide, eps=eps, relu=True)
        self.project = ConvNorm(wide, outputs, kernel=1, stride=1, groups=1, eps=eps, relu=False)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, maps: Tensor) -> Tensor:
        narrow = self.project(self.depthwise(self.expand(maps)))
        return maps + narrow if self.adds else narrow  # type: ignore[no-any-return]


class EfficientNetLiteModel(PreTrainedModel):
    """(images, 3, height, width) -> features (images, places, hidden_size), row by row of the grid.

    Batch norms keep their running statistics in training too: a frozen tower must not change by what it is
    shown, nor must a study's features depend on which others are in its batch.
    """

    config_class = EfficientNetLiteConfig
    base_model_prefix = "efficientnet_lite"
    main_input_name = "pixel_values"
    input_modalities = ["image"]

    def __init__(self, config: EfficientNetLiteConfig) -> None:
        super().__init__(config)
        eps, channels = config.batch_norm_eps, config.stem_channels
        self.stem = ConvNorm(3, channels, kernel=3, stride=2, groups=1, eps=eps, relu=True)
        blocks: list[InvertedResidual] = []
        for count, kernel, stride, expansion, outputs in config.stages or ():
            for place in range(count):
                step = stride if place == 0 else 1
                blocks.append(
                    InvertedResidual(
                        channels, outputs, kernel=kernel, stride=step, expansion=expansion, eps=eps
                    )
                )
                channels = outputs
        self.blocks = nn.ModuleList(blocks)
        self.head: nn.Module | None = None
        if not config.taps:
            self.head = ConvNorm(
                channels, config.hidden_size, kernel=1, stride=1, groups=1, eps=eps, relu=True
            )
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(self, pixel_values: Tensor, return_dict: bool = True, **_: Any) -> Any:
        """``last_hidden_state``, and the same as the only member of ``hidden_states``, from which LLaVA
        takes its layer -1."""
        # Channels last: depthwise convolutions are a third faster so on a CPU.
        maps = self.stem(pixel_values.to(self.dtype, memory_format=torch.channels_last))
        tapped: list[Tensor] = []
        blocks = iter(self.blocks)
        for stage, (count, *_shape) in enumerate(self.config.stages):
            for block in islice(blocks, count):
                maps = block(maps)
            if stage in self.config.taps:
                tapped.append(nn.functional.pixel_unshuffle(maps, self.config.cells(stage)))
        maps = torch.cat(tapped, dim=1) if self.head is None else self.head(maps)
        if self.config.pooling > 1:
            maps = nn.functional.avg_pool2d(maps, self.config.pooling)
        features = maps.flatten(2).transpose(1, 2)
        output = BaseModelOutput(last_hidden_state=features, hidden_states=(features,))
        return output if return_dict else output.to_tuple()

    def train(self, mode: bool = True) -> EfficientNetLiteModel:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """transformers calls it on loaded modules too and guards what was loaded, if it is written by its own
        functions: ``BatchNorm2d.reset_parameters`` would forget the running statistics at every load."""
        if isinstance(module, nn.Conv2d):
            initialization.kaiming_normal_(module.weight, mode="fan_out")
        else:
            super()._init_weights(module)  # type: ignore[no-untyped-call]


def register() -> None:
    """Let transformers' Auto classes know the architecture; a second call changes nothing."""
    AutoConfig.register(EfficientNetLiteConfig.model_type, EfficientNetLiteConfig, exist_ok=True)
    AutoModel.register(EfficientNetLiteConfig, EfficientNetLiteModel, exist_ok=True)


def published_weights(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The weights under our names from the names of the PyTorch port that published them, and its classifier.

    Args:
        state: ``_conv_stem.weight``, ``_blocks.0._depthwise_conv.weight``, ``_bn1.bias`` and so on.

    Returns:
        State of `EfficientNetLiteModel`; state (``weight``, ``bias``) of the linear layer that names ImageNet
        classes from the mean feature vector.

    Raises:
        KeyError: a name that the port does not have.
    """
    tower: dict[str, Tensor] = {}
    for name, value in state.items():
        if name.startswith("_fc."):
            continue
        *path, layer, leaf = name.split(".")
        if not path:
            tower[f"{OUTER_NAMES[layer]}.{leaf}"] = value
            continue
        # A block that doesn't widen has no first convolution, nor its norm.
        tower[f"blocks.{path[1]}.{BLOCK_NAMES[layer]}.{leaf}"] = value
    return tower, {name: state[f"_fc.{name}"] for name in ("weight", "bias")}


OUTER_NAMES = {"_conv_stem": "stem.conv", "_bn0": "stem.norm", "_conv_head": "head.conv", "_bn1": "head.norm"}
BLOCK_NAMES = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.norm",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.norm",
    "_project_conv": "project.conv",
    "_bn2": "project.norm",
}
