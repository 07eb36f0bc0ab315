"""Imports run one way: an arrow that runs back fails here (docs: ARCHITECTURE, import order)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "src" / "radflow"
ORDER = (
    {"records", "errors", "owner_only"},
    {"config_types", "processes", "stopping"},
    {"config_data", "config_engine", "config_judge", "config_model", "config_training"},
    {"config_scoring"},
    {"config", "registry", "jsonl", "terminal", "yaml_text"},
    {"config_file", "run_dir", "engine_ray"},
    {"engine", "config_page"},
    {"data"},
    {"privacy"},
    {"clinical"},
    {"metrics"},
    {"rewards"},
    {"models"},
    {"training"},
    {"reporting"},
    {"stages", "audit", "delivery", "doctor", "starting", "watching"},
    {"fitting", "planning"},
    {"experiments", "review"},
    {"cli_launch", "cli_options"},
    {"cli_experiments", "cli_fit", "cli_models", "cli_review", "cli_runs", "cli_scores", "cli_texts"},
    {"cli"},
    {"__main__"},
)
"""Each may import what stands above it, and its own package; neighbours in a row don't import each other."""
LAYER = {name: number for number, names in enumerate(ORDER) for name in names}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports(name: str) -> Iterator[str]:
    """The radflow modules that a module imports, those inside functions and TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "radflow")
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name} imports relatively, line {node.lineno}"
            module = node.module or ""
            if module.split(".")[0] == "radflow":
                longer = (f"{module}.{alias.name}" for alias in node.names)
                yield from (target if target in MODULES else module for target in longer)


def runs_back(source: str, target: str) -> bool:
    """Whether an import breaks the order."""
    if target == "radflow" or source == target:
        return False
    if source == "radflow":
        return True
    above, below = source.split(".")[1], target.split(".")[1]
    if above == below:
        return above == "stages" and target not in ("radflow.stages", "radflow.stages.failures")
    return LAYER[below] >= LAYER[above]


def test_every_module_and_package_has_a_place_in_the_order() -> None:
    assert {name.split(".")[1] for name in MODULES if "." in name} <= LAYER.keys()


@pytest.mark.parametrize("name", MODULES)
def test_imports_run_one_way(name: str) -> None:
    assert [target for target in imports(name) if runs_back(name, target)] == []


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("radflow.metrics.lexical", "radflow.models.vlm"),
        ("radflow.config", "radflow.config_file"),
        ("radflow.config_data", "radflow.config"),
        ("radflow.config_training", "radflow.config_model"),
        ("radflow.records", "radflow.errors"),
        ("radflow.data.images", "radflow.metrics.lexical"),
        ("radflow.stages.evaluate", "radflow.stages.prepare"),
        ("radflow.stages", "radflow.stages.prepare"),
        ("radflow.stages.sft", "radflow.cli"),
        ("radflow", "radflow.errors"),
    ],
)
def test_the_rule_catches(source: str, target: str) -> None:
    assert runs_back(source, target)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("radflow.metrics.run_scores", "radflow.data.sections"),
        ("radflow.stages.pipeline", "radflow.stages"),
        ("radflow.cli", "radflow.stages.pipeline"),
        ("radflow.cli", "radflow"),
    ],
)
def test_the_rule_allows(source: str, target: str) -> None:
    assert not runs_back(source, target)


def test_imports_inside_functions_are_seen() -> None:
    assert "radflow.stages.pipeline" in set(imports("radflow.cli"))
