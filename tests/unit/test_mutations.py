"""The faults that mutation testing puts in: each a change of meaning, none where no test could notice."""

from __future__ import annotations

import ast

import pytest
from benchmarks.mutations import mutants_of, mutated

SOURCE = '''"""A docstring."""

from typing import Literal

Kind = Literal["one", "two"]

def share(values: list[float], *, limit: float = 2) -> float:
    """Not a word of this."""
    if not values:
        raise ValueError("no value at all")
    kept = [value for value in values if value < limit]
    total = sum(kept) + 1
    return total / len(list(zip(values, values, strict=True)))
'''
TREE = ast.parse(SOURCE)


def namespace(tree: ast.Module) -> dict[str, object]:
    found: dict[str, object] = {}
    exec(compile(tree, "share", "exec"), found)
    return found


@pytest.mark.parametrize(
    "expected",
    [
        "value < limit -> value <= limit", "value < limit -> value >= limit", "not values -> values",
        "2 -> 3",
        "sum(kept) + 1 -> sum(kept) - 1", "raise ValueError('no value at all') -> pass",
    ],
)  # fmt: skip
def test_every_kind_of_fault_is_found(expected: str) -> None:
    assert expected in [mutant.name for mutant in mutants_of(TREE)]


def test_a_mutant_is_another_program_with_the_same_lines_and_the_original_stays() -> None:
    before = ast.dump(TREE)
    names = [mutant.name for mutant in mutants_of(TREE)]
    assert len(names) == len(set(names))
    for mutant in mutants_of(TREE):
        changed = mutated(TREE, mutant)
        assert ast.dump(changed) != before, mutant.name
        assert mutant.line in mutant.span
        compile(changed, "share", "exec")
    assert ast.dump(TREE) == before


def test_a_fault_acts() -> None:
    (mutant,) = (one for one in mutants_of(TREE) if one.name.startswith("total / len"))
    assert namespace(TREE)["share"]([1.0, 1.5]) == 1.75  # type: ignore[operator]
    assert namespace(mutated(TREE, mutant))["share"]([1.0, 1.5]) == 7  # type: ignore[operator]


def test_words_of_errors_docstrings_and_annotations_are_left_alone() -> None:
    changed = {mutant.name.partition(" -> ")[0] for mutant in mutants_of(TREE)}
    assert "2" in changed
    assert not changed & {"'no value at all'", "'A docstring.'", "'one'", "'two'", "True"}
