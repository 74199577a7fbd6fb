"""The reference pages say what the program does."""

import ast
from pathlib import Path

from worker.management.commands import procedure


def check_keys(root: Path) -> set[str]:
    """The first argument of every verdict that a check gives."""
    found = set()
    for path in (root / "worker" / "checks").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            verdict = isinstance(node, ast.Call) and getattr(node.func, "id", "") in {
                "passed",
                "warn",
                "stop",
                "verdict",
            }
            if verdict and isinstance(node.args[0], ast.Constant):  # type: ignore[attr-defined]
                found.add(node.args[0].value)  # type: ignore[attr-defined]
    return found


def test_every_check_is_documented_and_no_other(repository_root: Path) -> None:
    page = (repository_root / "docs" / "reference" / "checks.md").read_text()
    documented = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")}
    assert len(documented) > 15
    assert check_keys(repository_root) == documented


def test_the_procedures_page_is_current(repository_root: Path) -> None:
    page = (repository_root / procedure.PAGE).read_text()
    assert "stateDiagram-v2" in page
    assert procedure.rendered(page) == page, "run manage.py procedure"
