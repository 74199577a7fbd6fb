"""Entry point of `python -m mover`."""

import sys

from mover.cli import main

if __name__ == "__main__":
    sys.exit(main())
