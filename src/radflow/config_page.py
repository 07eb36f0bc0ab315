"""docs/settings.md from the settings themselves: each with its default, its sentence and its bounds"""

from __future__ import annotations

from collections.abc import Iterator

from radflow.config import RunConfig, Section
from radflow.config_file import bounds_text, yaml_value

HEAD = """# Settings

Made by `radflow config show --markdown` from the settings themselves; a test compares the two. One YAML
file holds a whole run; what isn't in it has its default. `--set SECTION.NAME=VALUE` overrides one, and
`radflow config check FILE` names every mistake with its line. Relative paths start from the file, those of
`--set` from the working directory.

"""


def settings_page() -> str:
    """The page in Markdown: a table for every section, nested ones after the section that holds them."""
    return HEAD + "\n".join(_section(RunConfig(), "the run as a whole", "")).rstrip("\n") + "\n"


def _section(section: Section, title: str, prefix: str) -> Iterator[str]:
    fields = type(section).model_fields
    plain = [name for name in fields if not isinstance(getattr(section, name), Section)]
    yield f"## {prefix.rstrip('.') or title}"
    if prefix:
        yield title
        yield ""
    if plain:
        yield "| setting | default | |"
        yield "| --- | --- | --- |"
    for name in plain:
        field = fields[name]
        told = f"{field.description}{bounds_text(field)}".replace("|", "\\|").replace("\n", " ")
        yield f"| `{prefix}{name}` | `{yaml_value(getattr(section, name))}` | {told} |"
    yield ""
    for name in fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from _section(value, str(fields[name].description), f"{prefix}{name}.")
