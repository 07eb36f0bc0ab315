"""YAML is read into values or refused with a line and a reason; nothing in it can unfold without an end."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from radflow.config_file import load_config
from radflow.errors import ConfigError
from radflow.yaml_text import MAX_VALUES, read_yaml


def bomb(levels: int) -> str:
    """Four to the power of the levels."""
    lines = ["a0: &a0 [x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 4)}]" for n in range(1, levels)]
    return "\n".join(lines)


def test_values_and_the_lines_they_stand_in() -> None:
    node, value = read_yaml("a: &a [1, 2]\nb: *a\n", yaml.SafeLoader, where="x.yaml")
    assert value == {"a": [1, 2], "b": [1, 2]}
    assert isinstance(node, yaml.MappingNode)
    assert [key.start_mark.line for key, _ in node.value] == [0, 1]
    assert read_yaml("", yaml.SafeLoader, where="x.yaml") == (None, None)


def test_aliases_may_unfold_to_many_values_and_not_to_any_number() -> None:
    _, value = read_yaml(bomb(6), yaml.SafeLoader, where="x.yaml")
    assert len(value) == 6
    with pytest.raises(ConfigError, match=f"{MAX_VALUES:,}"):
        read_yaml(bomb(30), yaml.SafeLoader, where="x.yaml")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: &a [*a]", "inside of what it names"),
        ("[" * 1200, "nested too deep"),
        ("a: 2020-13-45", "can't be read"),
        ("a: !!bool maybe", "can't be read"),
        ("a: !!int ''", "can't be read"),
        (f"a: {'9' * 5000}", "can't be read"),
        ("a: !!python/object:os.system x", "could not determine a constructor"),
        ("a: [1", "x.yaml:1"),
    ],
)
def test_what_is_no_yaml_is_one_error(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=r"x\.yaml") as caught:
        read_yaml(text, yaml.SafeLoader, where="x.yaml")
    assert reason in str(caught.value)


def test_an_override_that_is_no_yaml_is_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="valid integer"):
        load_config(None, overrides=["seed=2020-13-45"])
    assert load_config(None, overrides=["model.name=[[["]).model.name == "[[["


def test_the_home_of_nobody_is_no_path() -> None:
    with pytest.raises(ConfigError, match="no home folder"):
        load_config(None, overrides=["data.root=~nosuchuser7/x"])


def test_errors_hold_text_that_can_be_written() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, overrides=["seed=\udcff"])
    assert str(caught.value).encode()
