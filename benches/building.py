"""Builds the C programs of the benchmarks, where a compiler is there."""

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent


def built(name: str, into: Path) -> Path | None:
    """The program of `benches/NAME.c`; None, said loudly, where it cannot be built."""
    program = into / name
    if program.exists():
        return program
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        print(f"SKIPPED: no C compiler here, so benches/{name}.c is not built", flush=True)
        return None
    done = subprocess.run(
        [compiler, "-O2", "-pthread", "-o", str(program), str(HERE / f"{name}.c")],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(f"SKIPPED: benches/{name}.c cannot be built here:\n{done.stderr[-500:]}", flush=True)
        return None
    return program
