"""docs/reference/settings.md has every setting, and no setting that is gone."""

import re
from pathlib import Path

_NAME = re.compile(r"\bHOLDFAST_[A-Z][A-Z_]*[A-Z]\b")
_PATTERNS = ("*.py", "*.sh", "*.yml", "*.yaml", "*.example", "Makefile", "run", "Dockerfile")
_SKIPPED = {".venv", ".git", ".holdfast", "docs", "test-results", "staticfiles"}


def _settles_something(place: Path) -> bool:
    """Tests make up names of their own; what sets the stage for them does not."""
    if place.parts[0] != "tests":
        return _SKIPPED.isdisjoint(place.parts)
    return len(place.parts) == 2 or place.parts[1] in {"support", "contract"}


def test_every_setting_is_documented(repository_root: Path) -> None:
    used: dict[str, str] = {}
    for pattern in _PATTERNS:
        for file in repository_root.rglob(pattern):
            place = file.relative_to(repository_root)
            if _settles_something(place) and file.is_file():
                used |= {name: str(place) for name in _NAME.findall(file.read_text(errors="replace"))}
    page = (repository_root / "docs" / "reference" / "settings.md").read_text()
    documented = set(re.findall(r"^\| `(HOLDFAST_[A-Z_]+)`", page, re.MULTILINE))
    # A prefix such as HOLDFAST_DATABASE, by which tests clear the environment, is no setting.
    missing = {
        name: place
        for name, place in used.items()
        if name not in documented and not place.startswith("tests/support/stack")
    }
    assert not missing
    unused = documented - set(used) - {"HOLDFAST_TEST_KUBECONFIG"}
    assert not unused, "documented, and used nowhere"
