"""Runs the command line: ``python -m gitops``."""

from __future__ import annotations

import sys

from gitops.cli import main

if __name__ == "__main__":
    sys.exit(main())
