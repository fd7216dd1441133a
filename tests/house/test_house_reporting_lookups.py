"""Pages read typed records, not dictionaries by key."""

import ast

from project_copy import ROOT


def is_lookup(node: ast.AST) -> bool:
    """Say whether a node is `x["key"]` or `x.get("key")`."""
    match node:
        case ast.Subscript(slice=ast.Constant(value=str())):
            return True
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str()), *_]):
            return True
    return False


def test_reporting_looks_few_things_up_by_literal_key() -> None:
    modules = sorted((ROOT / "src" / "reid_pipeline" / "reporting").rglob("*.py"))
    found = {file.name: sum(map(is_lookup, ast.walk(ast.parse(file.read_text("utf-8"))))) for file in modules}
    assert modules
    assert sum(found.values()) < 40, found
