"""Answers -> the text of a commented config, which is read back before it is kept"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from radflow.config_file import load_config, yaml_value
from radflow.errors import ConfigError
from radflow.jsonl import write_text_atomically
from radflow.starting.answers import Answers

TEMPLATE = "config.yaml.jinja"


def config_text(answers: Answers) -> str:
    """YAML with a comment at every choice that a user may want to change."""
    environment = Environment(
        trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined, autoescape=False
    )
    environment.filters["yaml"] = yaml_value
    source = (files("radflow.starting") / "templates" / TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(source).render(
        answers=answers, layout=answers.layout, size=answers.size, ontology=answers.ontology
    )


def write_config(answers: Answers, out: Path) -> None:
    """Write a new file that `radflow config check` accepts.

    Raises:
        ConfigError: the file is there already, or can't be written.
    """
    if out.exists():
        raise ConfigError("the file is there already", where=str(out), next_step="Choose another with -o.")
    try:
        write_text_atomically(out, config_text(answers))
    except OSError as error:
        raise ConfigError(f"can't be written: {error.strerror}", where=str(out)) from None
    load_config(out)
