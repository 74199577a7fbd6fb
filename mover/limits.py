"""Limits that a person can set: bandwidth, operations, processors, memory."""

import threading
import time
from typing import NamedTuple

from mover.errors import UsageError

LEAST_MEMORY = 96 << 20
_UNITS = {"K": 10, "M": 20, "G": 30, "T": 40}


def parse_size(text: str) -> int:
    """Bytes from `64M`; ValueError where it is not a size."""
    shift = _UNITS.get(text[-1:].upper(), 0)
    return int(float(text[:-1] if shift else text) * (1 << shift))


class Limits(NamedTuple):
    """0 means: no limit, or found by measuring. Bytes, operations and processors are a second's."""

    bandwidth: int = 0
    iops: int = 0
    cpu: float = 0.0
    memory: int = 256 << 20
    processes: int = 0
    threads: int = 0
    read_ahead: str = "auto"  # on, off, auto

    def check(self) -> None:
        """UsageError where a limit cannot be."""
        if min(self.bandwidth, self.iops, self.cpu, self.processes, self.threads) < 0:
            raise UsageError("a limit cannot be negative")
        if self.memory < LEAST_MEMORY:
            raise UsageError(f"--memory must be at least {LEAST_MEMORY >> 20}M")
        if self.processes > 64 or self.threads > 64:
            raise UsageError("at most 64 processes and 64 threads")


UNLIMITED = Limits()


class Brake:
    """Slows one worker down to its share of the limits. Used by all its threads."""

    def __init__(self, limits: Limits = UNLIMITED, workers: int = 1) -> None:
        self._bytes = limits.bandwidth / workers
        self._operations = limits.iops / workers
        self._cpu = limits.cpu / workers if limits.cpu and limits.cpu < workers else 0.0
        self.active = bool(self._bytes or self._operations or self._cpu)
        self.one_by_one = bool(self._bytes or self._operations) or limits.read_ahead == "off"
        self._lock = threading.Lock()
        self._start_s = time.monotonic()
        self._cpu_before_s = time.process_time()
        self._free_bytes_s = self._free_operations_s = self._start_s

    def used(self, operations: int, size: int) -> None:
        """Takes what was just used, and sleeps until it was within the limits."""
        if not self.active:
            return
        now = time.monotonic()
        with self._lock:
            if self._bytes:
                self._free_bytes_s = max(self._free_bytes_s, now - 0.1) + size / self._bytes
            if self._operations:
                self._free_operations_s = (
                    max(self._free_operations_s, now - 0.1) + operations / self._operations
                )
            until_s = max(self._free_bytes_s, self._free_operations_s)
            if self._cpu:
                until_s = max(until_s, self._start_s + self._cpu_used_s() / self._cpu)
        if until_s > now:
            time.sleep(until_s - now)

    def _cpu_used_s(self) -> float:
        """Processor time since the brake was made; a process that was forked since then begins at nothing."""
        used_s = time.process_time()
        self._cpu_before_s = min(self._cpu_before_s, used_s)
        return used_s - self._cpu_before_s
