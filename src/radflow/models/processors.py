"""Load a model's processor; where torchvision is missing, one that also reads videos comes without that part

Transformers reads videos by torchvision alone, and without it refuses the whole processor of such a family
(Qwen-VL, SmolVLM2, LLaVA-OneVision, InternVL). A report needs text and images only.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

import transformers
from transformers import AutoConfig, AutoImageProcessor, AutoProcessor, AutoTokenizer, ProcessorMixin
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from transformers.utils.hub import cached_file
from transformers.utils.import_utils import is_torchvision_available
from transformers.video_processing_utils import VideoProcessorMixin

from radflow.errors import ModelError

VIDEO_PART = "video_processor"
# Where a checkpoint keeps the settings of its video part; older ones share those of its images.
VIDEO_FILES = ("processor_config.json", "video_preprocessor_config.json", "preprocessor_config.json")
SAFELY = {"trust_remote_code": False}


class UnreadVideos(VideoProcessorMixin):
    """Stands where a processor wants its video part: keeps that part's settings, reads no video."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings

    def __getattr__(self, name: str) -> Any:
        """A setting by its name; processors look up num_frames, fps and the like."""
        settings = self.__dict__.get("settings", {})
        if name.startswith("__") or name not in settings:
            raise AttributeError(name)
        return settings[name]

    def to_dict(self) -> dict[str, Any]:
        """The checkpoint's own settings, so that a tuned model has them where torchvision is installed."""
        return dict(self.settings)

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        raise ModelError("videos can't be read", next_step="Install torchvision, or show images.")


def without_videos(kind: type[ProcessorMixin]) -> type[ProcessorMixin]:
    """A processor class that takes `UnreadVideos` where torchvision is missing; saved under the same name."""

    def check(self: Any, name: str, part: Any) -> Any:
        return type(part) if name == VIDEO_PART else kind.check_argument_for_proper_class(self, name, part)

    members = {"check_argument_for_proper_class": check, "__module__": kind.__module__}
    return type(kind.__name__, (kind,), members)


def load_processor(source: str) -> Any:
    """The processor of a model folder or hub id.

    Raises:
        OSError, ValueError: nothing loadable there, as from transformers.
        ImportError: the processor needs a package that is not installed.
    """
    if is_torchvision_available():
        return AutoProcessor.from_pretrained(source, **SAFELY)
    settings, _ = ProcessorMixin.get_processor_dict(source)
    kind = _processor_class(source, settings)
    if kind is None or VIDEO_PART not in kind.get_attributes():
        return AutoProcessor.from_pretrained(source, **SAFELY)
    loaders: dict[str, Any] = {"image_processor": AutoImageProcessor, "tokenizer": AutoTokenizer}
    parts = [
        UnreadVideos(_video_settings(source)) if name == VIDEO_PART
        else loaders[name].from_pretrained(source, **SAFELY)
        for name in kind.get_attributes()
    ]  # fmt: skip
    return without_videos(kind).from_args_and_dict(parts, settings)


def _processor_class(source: str, settings: dict[str, Any]) -> Any:
    """The processor's class by its own settings, else by the model's; None if transformers has none."""
    if "processor_class" in settings:
        return getattr(transformers, settings["processor_class"], None)
    config = AutoConfig.from_pretrained(source, **SAFELY)
    return PROCESSOR_MAPPING.get(type(config), None)


def _video_settings(source: str) -> dict[str, Any]:
    for name in VIDEO_FILES:
        path = cached_file(source, name, _raise_exceptions_for_missing_entries=False)
        if path is None:
            continue
        settings: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        settings = settings.get(VIDEO_PART, {}) if name == VIDEO_FILES[0] else settings
        if settings:
            return settings
    return {}
