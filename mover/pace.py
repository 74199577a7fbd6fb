"""How many processes and threads: found by watching whether the processors wait.

On a fast disk system calls and the interpreter's lock are what costs, so a process for each processor and one task at a time
is best. On storage with latency the processors idle. The first tasks run alone in their process, so that the share of time in which they are blocked is that of
the storage: from it comes the first number of tasks in flight. After that the number is doubled while the processors idle, as long as it does not
make things slower, and halved while they are all busy.
"""

import os
import threading
import time

WINDOWS = (1, 2, 4, 8, 16, 32)
# Asking ahead does most of what many tasks in flight would do.
FIRST_WINDOW = 4
IDLE, BUSY = 0.75, 0.9
PROBE_S = 0.02
INTERVAL_S = 0.3
RETRY_S = 10.0


class Stopwatch:
    """How long one task took, how much of that its thread ran, and how much it waited for a processor."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self._ran_s, self._queued_s = _thread_times_s()

    def read(self) -> tuple[float, float, float]:
        """Seconds in all, seconds run, seconds in the queue for a processor."""
        ran_s, queued_s = _thread_times_s()
        return time.monotonic() - self._began_s, ran_s - self._ran_s, queued_s - self._queued_s


_local = threading.local()


def _thread_times_s() -> tuple[float, float]:
    """Processor time of this thread, and the time that it waited for a processor: on a busy machine that is no waiting for storage."""
    try:
        fd: int | None = getattr(_local, "fd", None)
        if fd is None:
            fd = _local.fd = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        ran, waited = os.pread(fd, 100, 0).split()[:2]
        return int(ran) / 1e9, int(waited) / 1e9
    except (OSError, ValueError):
        return time.thread_time(), 0.0


class Pace:
    """The number of processes, and the window that each of them has now."""

    def __init__(
        self, processes: int = 0, threads: int = 0, cpus: float = 0.0, window: int = 1, *, ahead: bool = False
    ) -> None:
        available = cpus or available_cpus()
        self.processes = processes or max(1, min(16, round(available)))
        self.ahead = ahead
        self._fixed = threads
        self._step = WINDOWS.index(window) if window in WINDOWS else 0
        self._cpus = max(0.1, min(available, float(self.processes)))
        self._done = 0
        self._ran_s = self._queued_s = self._wall_s = 0.0
        self._probed = False
        self._last_done = 0
        self._last_ran_s = 0.0
        self._last_s = 0.0
        self._rates: dict[int, float] = {}
        self._hold_until_s = 0.0

    @property
    def window(self) -> int:
        """Tasks that a process works on at once."""
        return self._fixed or WINDOWS[self._step]

    def answered(self, wall_s: float, ran_s: float, queued_s: float) -> None:
        """A worker finished a task."""
        self._done += 1
        self._wall_s += wall_s
        self._ran_s += ran_s
        self._queued_s += queued_s
        if not self._probed and self._done >= self.processes and self._wall_s >= PROBE_S:
            self._probe()

    def _probe(self) -> None:
        """Chooses the first window: enough tasks to keep the processors busy while the others are blocked."""
        self._probed = True
        wanted = 1.5 * self._wall_s / max(self._ran_s + self._queued_s, 1e-6)
        self.ahead = self.ahead or wanted > 2
        while wanted > 2 and WINDOWS[self._step] < min(wanted, FIRST_WINDOW):
            self._step += 1

    def measure(self, now_s: float) -> None:
        """Decides about the window, several times a second."""
        if not self._last_s:
            self._remember(now_s)
            return
        elapsed = now_s - self._last_s
        if self._fixed or elapsed < INTERVAL_S or self._done - self._last_done < 2:
            return
        rate = (self._done - self._last_done) / elapsed
        # What threads wait for a processor is not counted here: the more of them, the more they wait.
        busy = (self._ran_s - self._last_ran_s) / elapsed / self._cpus
        self._rates[self._step] = rate
        self._remember(now_s)
        if busy > IDLE:
            # The processors are the limit: more threads would only fight over the interpreter's lock.
            if self._step > 0 and busy > BUSY:
                self._step -= 1
            return
        narrower = self._rates.get(self._step - 1)
        if narrower is not None and rate < narrower * 0.9 and now_s >= self._hold_until_s:
            self._step -= 1
            self._hold_until_s = now_s + RETRY_S
        elif not self.ahead:
            self.ahead = True
        elif self._step + 1 < len(WINDOWS) and now_s >= self._hold_until_s:
            self._step += 1

    def _remember(self, now_s: float) -> None:
        self._last_s = now_s
        self._last_done = self._done
        self._last_ran_s = self._ran_s


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
