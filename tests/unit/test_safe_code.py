"""Nothing here loads what could run code: scanned from the syntax of src, tests, benchmarks and examples."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY

SCANNED = ("src", "tests", "benchmarks", "examples")
MODULES = {"pickle", "cPickle", "_pickle", "joblib", "dill", "cloudpickle", "shelve", "marshal"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
CALLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "tempfile.mktemp"}
SAFE_LOADERS = {"yaml.SafeLoader", "_Loader", "loader"}
"""_Loader of config_file.py derives from SafeLoader (a test below sees to it); loader is a typed argument."""
ERROR_CLASS = "the class of an error only, to name a file that holds code"
TO_WORKERS = "what is sent to a worker process survives the way"
MUTANTS = "runs our own sources with a fault put into them"
ALLOWED = {
    ("src/radflow/metrics/encoders.py", "imports pickle"): ERROR_CLASS,
    ("src/radflow/clinical/chexbert_network.py", "imports pickle"): ERROR_CLASS,
    ("benchmarks/mutant_trials.py", "calls compile"): MUTANTS,
    ("tests/unit/test_mutations.py", "calls compile"): MUTANTS,
    ("tests/unit/test_mutations.py", "calls exec"): MUTANTS,
    ("tests/integration/test_docs_run.py", "calls exec"): "runs the examples of the documentation",
    ("tests/integration/test_docs_run.py", "calls compile"): "likewise",
    ("tests/unit/clinical/test_consistency.py", "imports pickle"): TO_WORKERS,
    ("tests/unit/clinical/test_criticality.py", "imports pickle"): TO_WORKERS,
    ("tests/unit/clinical/test_judge.py", "imports pickle"): TO_WORKERS,
    ("tests/unit/data/test_table.py", "imports pickle"): TO_WORKERS,
    ("tests/unit/metrics/test_composite.py", "imports pickle"): TO_WORKERS,
    (
        "tests/unit/metrics/test_embedding.py",
        "imports pickle",
    ): "writes a file that holds code, which is refused",
    ("tests/unit/metrics/test_scoring.py", "imports pickle"): TO_WORKERS,
    ("tests/unit/privacy/test_scrub.py", "imports pickle"): TO_WORKERS,
    ("tests/unit/rewards/test_hierarchical.py", "imports pickle"): TO_WORKERS,
}
"""File and deed -> why it may."""
OWN_MODELS = "without trust_remote_code=False"
"""Tests load models that they have just made."""


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(node: ast.expr) -> str:
    """Dotted name of what is called, as far as it is one."""
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def unsafe(tree: ast.AST) -> Iterator[str]:
    """What a file does that it must not."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            )
            yield from (f"imports {name}" for name in names if name.split(".")[0] in MODULES)
        elif isinstance(node, ast.Call):
            yield from unsafe_call(name_of(node.func), {word.arg: word.value for word in node.keywords})


def unsafe_call(name: str, words: dict[str | None, ast.expr]) -> Iterator[str]:
    if name in BUILTINS or name in CALLS:
        yield f"calls {name}"
    if name == "torch.load" and not is_constant(words.get("weights_only"), True):
        yield "torch.load without weights_only=True"
    if name in ("yaml.load", "yaml.compose", "yaml.load_all", "yaml.parse") and (
        "Loader" not in words or name_of(words["Loader"]) not in SAFE_LOADERS
    ):
        yield f"{name} without a safe loader"
    if name in ("yaml.unsafe_load", "yaml.full_load"):
        yield f"calls {name}"
    if name in ("np.load", "numpy.load") and "allow_pickle" in words:
        yield "numpy.load that unpickles"
    if "shell" in words and not is_constant(words["shell"], False):
        yield "a shell"
    if "trust_remote_code" in words and not is_constant(words["trust_remote_code"], False):
        yield "trust_remote_code"
    loads = name.startswith(("Auto", "transformers.Auto")) and name.endswith(
        (".from_pretrained", ".from_config")
    )
    if loads and not {"trust_remote_code", None} & words.keys():
        yield f"{name} without trust_remote_code=False"


def is_constant(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


FILES = [path for folder in SCANNED for path in sorted((REPOSITORY / folder).rglob("*.py"))]


@pytest.mark.parametrize("folder", SCANNED)
def test_nothing_is_loaded_that_could_run_code(folder: str) -> None:
    found = {
        (str(path.relative_to(REPOSITORY)), what)
        for path in FILES
        if path.is_relative_to(REPOSITORY / folder)
        for what in unsafe(parsed(path))
        if folder != "tests" or not what.endswith(OWN_MODELS)
    }
    assert found == {entry for entry in ALLOWED if entry[0].startswith(f"{folder}/")}


@pytest.mark.parametrize(
    "code",
    [
        "import pickle", "from joblib import load", "eval('1')", "torch.load(f)", "os.system('x')",
        "torch.load(f, weights_only=False)", "yaml.load(t)", "yaml.load(t, Loader=yaml.Loader)",
        "subprocess.run('x', shell=True)",
        "AutoModel.from_pretrained(f)", "AutoModel.from_pretrained(f, trust_remote_code=trust)",
        "np.load(f, allow_pickle=True)", "yaml.unsafe_load(t)",
    ],
)  # fmt: skip
def test_the_scan_finds(code: str) -> None:
    assert list(unsafe(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "model.eval()", "yaml.safe_load(t)", "torch.load(f, weights_only=True)", "re.compile('a')",
        "AutoModel.from_pretrained(f, trust_remote_code=False)", "AutoModel.from_pretrained(f, **SAFELY)",
    ],
)  # fmt: skip
def test_the_scan_lets_through(code: str) -> None:
    assert not list(unsafe(ast.parse(code)))


def test_the_configs_own_loader_is_a_safe_one() -> None:
    import yaml

    from radflow.config_file import _Loader

    assert issubclass(_Loader, yaml.SafeLoader)
    with pytest.raises(yaml.YAMLError):
        yaml.load("!!python/object/apply:os.getcwd []", Loader=_Loader)  # noqa: S506


def test_what_is_spread_into_a_loader_forbids_foreign_code() -> None:
    """Where a loader gets its words from a dict, the file says what that dict says."""
    spread = {
        path
        for path in FILES
        if path.is_relative_to(REPOSITORY / "src")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call)
        and re.match(r"Auto\w+\.from_", name_of(node.func))
        and "trust_remote_code" not in {word.arg for word in node.keywords}
    }
    assert spread
    for path in spread:
        assert '"trust_remote_code": False' in path.read_text(encoding="utf-8"), path
