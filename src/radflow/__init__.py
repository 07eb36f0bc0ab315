"""radflow: teach vision-language models to write radiology reports that are clinically right."""

from importlib import import_module
from importlib.metadata import version
from typing import Any

__version__ = version("radflow")

_LAZY = {"score": "radflow.metrics.score", "load_metric": "radflow.metrics.score"}
"""What `import radflow` offers, imported when used: the package itself stays light."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'radflow' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
