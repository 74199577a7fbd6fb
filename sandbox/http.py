"""httpx without its command line: reading that costs each program of the sandbox a quarter of a second at its start."""

import sys

# httpx goes on without it, as where its optional dependencies are missing.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]

import httpx  # noqa: E402 - after the line above

__all__ = ["httpx"]
