"""radflow: teach vision-language models to write radiology reports that are clinically right."""

from importlib.metadata import version

__version__ = version("radflow")
