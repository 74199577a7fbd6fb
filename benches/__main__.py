"""The benchmarks: `python -m benches [NAME] [options of that benchmark]`; without a name all of them, scaled down."""

import importlib
import sys
from pathlib import Path


def names() -> list[str]:
    """Modules here that measure something: those with a `main(arguments)`."""
    found = []
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        if "def main(arguments" in path.read_text():
            found.append(path.stem)
    return found


def main() -> int:
    wanted = sys.argv[1:2]
    if not wanted:
        return max(importlib.import_module(f"benches.{name}").main([]) or 0 for name in names())
    if wanted[0] not in names():
        sys.stderr.write(f"benchmarks: {', '.join(names())}\n")
        return 2
    return importlib.import_module(f"benches.{wanted[0]}").main(sys.argv[2:]) or 0


if __name__ == "__main__":
    sys.exit(main())
