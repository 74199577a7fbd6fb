"""How many processes and threads: found by watching whether the processors wait.

On a fast disk system calls and the interpreter's lock are what costs, so a process for each processor and one task at a time
is best. On storage with latency the processors idle; then the window of tasks in flight doubles, as long as that brings more work done.
"""

import os

WINDOWS = (1, 2, 4, 8, 16, 32)
BUSY = 0.75
GAIN = 1.08
INTERVAL_S = 0.3
RETRY_S = 10.0


class Pace:
    """The number of processes, and the window that each of them has now."""

    def __init__(self, processes: int = 0, threads: int = 0, cpus: float = 0.0) -> None:
        available = cpus or available_cpus()
        self.processes = processes or max(1, min(16, round(available)))
        self._fixed = threads
        self._step = 0
        self._cpus = max(1.0, min(available, float(self.processes)))
        self._done = 0
        self._last_done = 0
        self._cpu_s = [0.0] * self.processes
        self._last_cpu_s = 0.0
        self._last_s = 0.0
        self._rates: dict[int, float] = {}
        self._hold_until_s = 0.0

    @property
    def window(self) -> int:
        """Tasks that a process works on at once."""
        return self._fixed or WINDOWS[self._step]

    def answered(self, worker: int, cpu_s: float) -> None:
        """A worker finished a task; its processor time so far."""
        self._done += 1
        self._cpu_s[worker] = max(self._cpu_s[worker], cpu_s)

    def measure(self, now_s: float) -> None:
        """Decides about the window, several times a second."""
        if not self._last_s:
            self._remember(now_s)
            return
        elapsed = now_s - self._last_s
        if self._fixed or elapsed < INTERVAL_S or self._done - self._last_done < 2:
            return
        rate = (self._done - self._last_done) / elapsed
        busy = (sum(self._cpu_s) - self._last_cpu_s) / elapsed / self._cpus
        self._rates[self._step] = rate
        self._remember(now_s)
        if busy > BUSY:
            # The processors are the limit: more threads would only fight over the interpreter's lock.
            if self._step > 0 and busy > 0.9:
                self._step -= 1
            return
        narrower = self._rates.get(self._step - 1)
        if narrower is not None and rate < narrower * 0.9 and now_s >= self._hold_until_s:
            self._step -= 1
            self._hold_until_s = now_s + RETRY_S
        elif self._step + 1 < len(WINDOWS) and now_s >= self._hold_until_s:
            self._step += 1

    def _remember(self, now_s: float) -> None:
        self._last_s = now_s
        self._last_done = self._done
        self._last_cpu_s = sum(self._cpu_s)


def available_cpus() -> float:
    """Processors that this process may use: affinity, and the quota of its control group."""
    count = float(len(os.sched_getaffinity(0)))
    quota, period = _first_words("/sys/fs/cgroup/cpu.max") or ("max", "1")
    if quota == "max":  # the first version of control groups
        (quota,) = _first_words("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") or ("-1",)
        (period,) = _first_words("/sys/fs/cgroup/cpu/cpu.cfs_period_us") or ("100000",)
    if int(quota) > 0:
        count = min(count, int(quota) / int(period))
    return max(0.1, count)


def _first_words(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().split()[:2]
    except OSError:
        return []
