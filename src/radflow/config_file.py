"""From a YAML file and --set overrides to a checked RunConfig, and back to commented YAML.

Mistakes come back as one ConfigError that names file, line, key and the nearest known key.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from radflow.config import ENV_PATTERN, FromCommandLine, RunConfig, Section
from radflow.errors import ConfigError
from radflow.yaml_text import read_yaml

Places = dict[tuple[str, ...], str]
"""Where each key stands: ``FILE:LINE``, or the override that set it."""
OTHER_CONFIGS = "Check the path. A checkout's configs lie in configs/; radflow init -o mine.yaml writes one."
ENV_KEYS = {("data", "root"), ("data", "images"), ("data", "split", "file")}


class _Loader(yaml.SafeLoader):
    """YAML 1.1 reads 1e-5 as a string; this loader reads it as the number everybody means."""


class _Dumper(yaml.SafeDumper):
    """Puts quotes around a text that `_Loader` would read as a number."""


for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?\d[\d_]*(\.[\d_]*)?[eE][-+]?\d+$|^[-+]?(\d[\d_]*)?\.\d[\d_]*([eE][-+]?\d+)?$"),
        list("-+0123456789."),
    )


def load_config(path: Path | None, *, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a config file (``None``: all defaults) and apply ``section.key=value`` overrides.

    Raises:
        ConfigError: unreadable file, unknown key, value out of bounds, malformed override.
    """
    tree, places = _read(path) if path else ({}, {})
    for override in overrides:
        places[_apply(tree, override)] = f"--set {override}"
    _refuse_env_outside_data(tree, path)
    try:
        return RunConfig.model_validate(tree, context={"base": path.resolve().parent if path else Path.cwd()})
    except ValidationError as error:
        raise _explain(error, path, places) from None


def _read(path: Path) -> tuple[dict[str, Any], Places]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError("config file not found", where=str(path), next_step=OTHER_CONFIGS) from None
    except IsADirectoryError:
        raise ConfigError(
            "this is a folder, not a config file", where=str(path), next_step=OTHER_CONFIGS
        ) from None
    except UnicodeDecodeError:
        raise ConfigError("this is no text file", where=str(path), next_step=OTHER_CONFIGS) from None
    except OSError as error:
        raise ConfigError(
            f"config file can't be read: {error.strerror}",
            where=str(path),
            next_step="Check its permissions.",
        ) from None
    node, tree = read_yaml(text, _Loader, where=str(path))
    if tree is None:
        return {}, {}
    if not isinstance(tree, dict):
        raise ConfigError(
            "a config file holds sections (data:, model:, sft:, ...)",
            where=str(path),
            next_step=OTHER_CONFIGS,
        )
    return tree, dict(_places(node, path))


def _places(
    node: yaml.Node | None, path: Path, keys: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], str]]:
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        where = f"{path}:{key.start_mark.line + 1}"
        if key.value in seen:
            raise ConfigError(
                f"key {'.'.join((*keys, key.value))} stands twice",
                where=where,
                next_step="Remove one of them.",
            )
        seen.add(key.value)
        yield (*keys, key.value), where
        yield from _places(value, path, (*keys, key.value))


def _apply(tree: dict[str, Any], override: str) -> tuple[str, ...]:
    """Put an override into the tree and return the keys of its setting."""
    key, separator, text = override.partition("=")
    keys = key.strip().split(".")
    if not separator or not all(keys):
        raise ConfigError(
            f"--set {override} is not of the form section.key=value",
            next_step="For example: --set rft.learning_rate=1e-5",
        )
    try:
        _, value = read_yaml(text, _Loader, where=f"--set {key}")
    except ConfigError:
        value = text
    node = tree
    for part in keys[:-1]:
        child = node.setdefault(part, {})
        if child is None:
            child = node[part] = {}
        if not isinstance(child, dict):
            raise ConfigError(f"--set {key}: {part} is a value, not a section")
        node = child
    node[keys[-1]] = FromCommandLine(value) if isinstance(value, str) else value
    return tuple(keys)


def _refuse_env_outside_data(tree: Any, path: Path | None, keys: tuple[str, ...] = ()) -> None:
    if isinstance(tree, dict):
        for key, value in tree.items():
            _refuse_env_outside_data(value, path, (*keys, str(key)))
    elif isinstance(tree, list):
        for value in tree:
            _refuse_env_outside_data(value, path, keys)
    elif isinstance(tree, str) and ENV_PATTERN.search(tree) and keys not in ENV_KEYS:
        allowed = ", ".join(sorted(".".join(entry) for entry in ENV_KEYS))
        raise ConfigError(
            f"{'.'.join(keys)} holds an environment variable",
            where=str(path) if path else None,
            next_step=f"Only data paths may: {allowed}.",
        )


def _explain(error: ValidationError, path: Path | None, places: Places) -> ConfigError:
    """All mistakes in one message, each with where it stands."""
    messages = []
    for item in error.errors():
        keys = tuple(str(part) for part in item["loc"])
        around = (places[keys[:end]] for end in range(len(keys), 0, -1) if keys[:end] in places)
        inside = (place for known, place in places.items() if known[: len(keys)] == keys)
        where = next(around, None) or next(inside, str(path) if path else None)
        messages.append(f"{where}: {_describe(item, keys)}" if where else _describe(item, keys))
    section = error.errors()[0]["loc"][0] if error.errors()[0]["loc"] else ""
    known = section if section in RunConfig.model_fields else ""
    return ConfigError("\n".join(messages), next_step=f"All settings: radflow config show {known}".rstrip())


def _describe(item: Any, keys: tuple[str, ...]) -> str:
    name = ".".join(keys)
    if item["type"] == "extra_forbidden":
        known = list(_section_at(keys[:-1]).model_fields)
        near = difflib.get_close_matches(keys[-1], known, n=1, cutoff=0.4)
        hint = f"did you mean {'.'.join((*keys[:-1], near[0]))}?" if near else f"known: {', '.join(known)}"
        return f"unknown setting {name}; {hint}"
    message = str(item["msg"]).removeprefix("Value error, ")
    shown = "" if item["type"] == "value_error" else f" (got {item['input']!r})"
    return f"{name}: {message}{shown}" if name else message


def _section_at(keys: tuple[str, ...]) -> type[BaseModel]:
    section: type[BaseModel] = RunConfig
    for key in keys:
        annotation = section.model_fields[key].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            break
        section = annotation
    return section


def show_config(config: RunConfig, section: str | None = None) -> str:
    """Every field as YAML that can be pasted into a file: its sentence, its bounds, its value.

    Raises:
        ConfigError: no such section.
    """
    if section is None:
        return "\n".join(_show(config, 0))
    node: Any = config
    for part in section.split("."):
        if not isinstance(node, Section) or part not in type(node).model_fields:
            near = difflib.get_close_matches(section, list(RunConfig.model_fields), n=1)
            hint = f"Did you mean {near[0]}? " if near else ""
            raise ConfigError(
                f"no section {section}", next_step=f"{hint}Sections: {', '.join(RunConfig.model_fields)}"
            )
        node = getattr(node, part)
    if not isinstance(node, Section):
        return f"{section}: {yaml_value(node)}"
    head = [f"{'  ' * depth}{part}:" for depth, part in enumerate(section.split("."))]
    return "\n".join([*head, *_show(node, len(head))])


def _show(section: Section, depth: int) -> Iterator[str]:
    indent = "  " * depth
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        yield f"{indent}# {field.description}{bounds_text(field)}"
        if isinstance(value, Section):
            yield f"{indent}{name}:"
            yield from _show(value, depth + 1)
        else:
            yield f"{indent}{name}: {yaml_value(value)}"


def bounds_text(field: FieldInfo) -> str:
    """What a setting may be, in brackets and with a space before; empty where anything may."""
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    parts = [
        f"{sign} {getattr(rule, name):g}"
        for rule in field.metadata
        for name, sign in signs.items()
        if getattr(rule, name, None) is not None
    ]
    choices = _choices(field.annotation)
    parts += [" | ".join("null" if choice is None else str(choice) for choice in choices)] if choices else []
    return f" [{', '.join(parts)}]" if parts else ""


def _choices(annotation: Any) -> list[Any]:
    """What the literals of a type allow, wherever they stand in it; None where it is one of several."""
    inner = get_args(annotation)
    if get_origin(annotation) is Literal:
        return list(inner)
    found = [choice for part in inner for choice in _choices(part)]
    return [*found, None] if found and type(None) in inner else found


def yaml_value(value: Any) -> str:
    """A value of a setting as one line of YAML that reads back as the same."""
    plain = list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value
    text = yaml.dump(plain, Dumper=_Dumper, default_flow_style=True, width=10_000)
    return text.strip().removesuffix("...").strip()
