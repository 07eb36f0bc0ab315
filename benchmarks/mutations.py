"""The faults that benchmarks/mutants.py puts into a module: found in its syntax tree, applied one at a time

Left alone: docstrings, annotations, what a raise says, and the flag of zip that refuses unequal lengths.
"""

from __future__ import annotations

import ast
import copy
from typing import NamedTuple

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt), ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
_REMOVED = (ast.Expr, ast.Assign, ast.AugAssign, ast.Raise, ast.Continue, ast.Break)


class Mutant(NamedTuple):
    """One fault.

    Attributes:
        name: what was there and what is there now; with the line's text it tells mutants apart.
        line: where.
        span: the lines of the statement that holds it.
        place: number of the changed node in the order of `ast.walk`.
        variant: which of the faults that the node can have.
        is_inside: whether it lies in a function's body; else it acts when the module is imported.
    """

    name: str
    line: int
    span: range
    place: int
    variant: int
    is_inside: bool


def mutants_of(tree: ast.Module) -> list[Mutant]:
    """All faults that a module can have, in order of their lines."""
    left_alone = {id(inner) for node in _left_alone(tree) for inner in ast.walk(node)}
    spans, inside = _spans(tree), _inside(tree)
    found: list[Mutant] = []
    seen: dict[str, int] = {}
    for place, node in enumerate(ast.walk(tree)):
        if id(node) in left_alone or not hasattr(node, "lineno"):
            continue
        for variant, changed in enumerate(variants(node)):
            name = f"{_shown(node)} -> {_shown(changed)}"
            seen[name] = seen.get(name, 0) + 1
            name += f" ({seen[name]})" if seen[name] > 1 else ""
            found.append(Mutant(name, node.lineno, spans[id(node)], place, variant, id(node) in inside))
    return sorted(found, key=lambda mutant: (mutant.line, mutant.place, mutant.variant))


def mutated(tree: ast.Module, mutant: Mutant) -> ast.Module:
    """A copy of the tree with the fault in it."""
    clone = copy.deepcopy(tree)
    node = list(ast.walk(clone))[mutant.place]
    changed = _Replace(node, variants(node)[mutant.variant]).visit(clone)
    return ast.fix_missing_locations(changed)


def variants(node: ast.AST) -> list[ast.AST]:
    """What can stand in the node's place, wrongly."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        return [_with(node, ops=[kind()]) for kind in _COMPARISONS[type(node.ops[0])]]
    if isinstance(node, ast.Compare):
        return [
            _with(node, ops=[*node.ops[:place], kind(), *node.ops[place + 1 :]])
            for place, operator in enumerate(node.ops)
            for kind in _COMPARISONS[type(operator)][:1]
        ]
    if isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in _ARITHMETIC:
        changed: list[ast.AST] = [_with(node, op=_ARITHMETIC[type(node.op)]())]
        return [*changed, *([ast.Pass()] if isinstance(node, ast.AugAssign) else [])]
    if isinstance(node, ast.BoolOp):
        return [_with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub, ast.Invert)):
        return [node.operand]
    if isinstance(node, (ast.If, ast.While, ast.IfExp)) and not isinstance(node.test, ast.Compare):
        return [_with(node, test=ast.UnaryOp(ast.Not(), node.test))]
    if isinstance(node, ast.Constant):
        return [ast.Constant(value) for value in _other_values(node.value)]
    if isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
        return [_with(node, value=ast.Constant(None))]
    if isinstance(node, _REMOVED):
        return [ast.Pass()]
    return []


def _other_values(value: object) -> list[object]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, (int, float)):
        return [value + 1]
    if isinstance(value, str):
        return ["" if value else "mutant"]
    return []


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


class _Replace(ast.NodeTransformer):
    def __init__(self, node: ast.AST, by: ast.AST) -> None:
        self._node, self._by = node, by

    def visit(self, node: ast.AST) -> ast.AST:
        return ast.copy_location(self._by, node) if node is self._node else self.generic_visit(node)


def _left_alone(tree: ast.Module) -> list[ast.AST]:
    """Nodes in which no fault is sought: no test can notice it, or none should."""
    found: list[ast.AST | None] = []
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant()):  # a docstring
                found.append(node)
            case ast.Import() | ast.ImportFrom() | ast.Assert() | ast.keyword(arg="strict"):
                found.append(node)
            case ast.Raise():
                found += [node.exc, node.cause]
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                found += [node.returns, *node.decorator_list]
            case ast.arg() | ast.AnnAssign():
                found.append(node.annotation)
            case ast.Assign(value=ast.Subscript()) if node in tree.body:  # Labels = Mapping[str, ...]
                found.append(node)
    return [node for node in found if node is not None]


def _spans(tree: ast.Module) -> dict[int, range]:
    """Of every node, the lines of the innermost statement around it; of a compound one, its head."""
    spans: dict[int, range] = {}

    def enter(node: ast.AST, span: range) -> None:
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            end = body[0].lineno if body else (node.end_lineno or node.lineno) + 1
            span = range(node.lineno, max(end, node.lineno + 1))
        spans[id(node)] = span
        for inner in ast.iter_child_nodes(node):
            enter(inner, span)

    enter(tree, range(1, 2))
    return spans


def _inside(tree: ast.Module) -> set[int]:
    """The nodes in bodies of functions."""
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found |= {id(inner) for statement in node.body for inner in ast.walk(statement)}
    return found


def _shown(node: ast.AST) -> str:
    """The node's source in one line of up to 90 characters; of a compound statement its head."""
    text = ast.unparse(node).splitlines()[0]
    return text if len(text) <= 90 else text[:87] + "..."
