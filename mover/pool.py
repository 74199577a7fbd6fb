"""The loop that has the tasks done: the first ones here, the others by worker processes with threads.

Little work is done before a worker would have started, so workers are forked only once the tasks found so far have taken some
time, or when one is heavy. The coordinator sends a task down a worker's pipe and gets a result back; whichever thread of the worker is free takes the
next task. How many tasks are in flight in a worker is its window, which `mover.pace` widens while the processors wait for storage.
"""

import os
import select
import signal
import threading
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from mover.errors import MoverError
from mover.pace import Pace, Stopwatch
from mover.protocol import HEAVY

if TYPE_CHECKING:
    from mover.channel import Channel

TICK_S = 0.2
ALONE_S = 0.03
END_S = 0.5


class Runs(Protocol):
    """What a worker runs."""

    def run(self, task: object) -> object:
        """The result of a task; expected errors are part of it."""

    def noted(self) -> dict[str, int]:
        """What a thread's last task counted beside its result; forgotten when read."""

    def look_ahead(self) -> None:
        """Storage waits: ask for much before it is read."""


class Source(Protocol):
    """What the loop asks the coordinator."""

    def next_task(self) -> tuple[object, object] | None:
        """The next task and its context, which stays here; None while there is none."""

    def handle(self, context: object, task: object, result: object) -> None:
        """Takes the result of a task; raises MoverError to stop the run."""

    def note(self, counted: dict[str, int]) -> None:
        """Takes what a task counted beside its result."""

    def tick(self) -> None:
        """Called a few times a second."""


class Answer(NamedTuple):
    """From a worker. `crash` is a traceback."""

    number: int
    result: object
    crash: str
    wall_s: float
    ran_s: float
    queued_s: float
    noted: dict[str, int]


def _answer(job: Runs, number: int, task: object) -> Answer:
    watch = Stopwatch()
    try:
        result = job.run(task)
    except Exception:  # noqa: BLE001  a defect: the coordinator reports it and stops
        import traceback

        return Answer(number, None, traceback.format_exc(), 0, 0, 0, {})
    return Answer(number, result, "", *watch.read(), job.noted())


class _Gate:
    """A semaphore whose number of permits can change, also to fewer."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._permits = 1
        self._inside = 0

    def set(self, permits: int) -> None:
        with self._condition:
            self._permits = permits
            self._condition.notify_all()

    def enter(self) -> None:
        with self._condition:
            while self._inside >= self._permits:
                self._condition.wait()
            self._inside += 1

    def leave(self) -> None:
        with self._condition:
            self._inside -= 1
            self._condition.notify()


class _Worker:
    """One worker process, seen from inside."""

    def __init__(self, channel: "Channel", job: Runs) -> None:
        import queue  # only workers need it

        self.channel = channel
        self.job = job
        self.gate = _Gate()
        self.tasks: queue.SimpleQueue[tuple[int, object]] = queue.SimpleQueue()
        self.writing = threading.Lock()
        self.threads = 0

    def serve(self) -> None:
        """Takes tasks until the coordinator closes the pipe.

        This thread does nothing but read: the coordinator, which writes a task before it reads answers, never waits for one that
        waits for it. How many tasks lie in the queue is bounded by the window.
        """
        while True:
            try:
                number, window, ahead, task = self.channel.receive()
            except (EOFError, OSError):
                os._exit(0)
            if ahead:
                self.job.look_ahead()
            if window:
                self.start(window)
            self.tasks.put((number, task))

    def start(self, window: int) -> None:
        """Has `window` threads at work, or as many as the system gives."""
        while self.threads < window:
            thread = threading.Thread(target=self.work, daemon=True)
            try:
                thread.start()
            except RuntimeError:
                if not self.threads:
                    raise
                break
            self.threads += 1
        self.gate.set(window)

    def work(self) -> None:
        """One thread. Whatever ends it ends the process, so that no task is waited for in vain."""
        try:
            while True:
                number, task = self.tasks.get()
                self.gate.enter()
                try:
                    answer = _answer(self.job, number, task)
                finally:
                    self.gate.leave()
                with self.writing:
                    self.channel.send(answer)
        except OSError:
            os._exit(0)  # the coordinator is gone
        except BaseException:  # noqa: BLE001  printed, and the coordinator sees that the process is gone
            import traceback

            traceback.print_exc()
            os._exit(1)


class Pool:
    """The worker processes, seen from the coordinator."""

    def __init__(self, job: Runs, pace: Pace, *, alone_s: float = ALONE_S) -> None:
        self.job = job
        self.pace = pace
        self._alone_s = alone_s
        self._channels: list[Channel] = []
        self._pids: list[int] = []
        self._in_flight: list[dict[int, tuple[object, object]]] = []
        self._windows: list[int] = []
        self._number = 0
        self._held: tuple[object, object] | None = None

    def run(self, source: Source) -> None:
        """Until there is no task left and none in flight."""
        if self.pace.ahead:
            self.job.look_ahead()
        if self._run_alone(source):
            return
        for _ in range(self.pace.processes):
            self._fork()
        poll = select.poll()
        index_of = {}
        for index, channel in enumerate(self._channels):
            poll.register(channel.reading, select.POLLIN)
            index_of[channel.reading] = index
        last_tick = time.monotonic()
        while True:
            self._supply(source)
            if not any(self._in_flight):
                return
            for fd, _ in poll.poll(TICK_S * 1000):
                self._receive(source, index_of[fd])
            now = time.monotonic()
            if now - last_tick >= TICK_S:
                last_tick = now
                self.pace.measure(now)
                source.tick()

    def _run_alone(self, source: Source) -> bool:
        """The first tasks, in this process; True when that was all."""
        until_s = time.monotonic() + self._alone_s
        while True:
            assignment = source.next_task()
            if assignment is None:
                return True
            task, context = assignment
            if isinstance(task, HEAVY) or time.monotonic() >= until_s:
                self._held = assignment
                return False
            self._take(source, context, task, _answer(self.job, 0, task))
            source.tick()

    def _fork(self) -> None:
        from mover.channel import channels  # pickle is slow to import, and a small run needs none

        ours, theirs = channels()
        pid = os.fork()
        if pid == 0:
            try:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                for channel in (ours, *self._channels):
                    channel.close()
                _Worker(theirs, self.job).serve()
            except BaseException:  # noqa: BLE001  as above
                import traceback

                traceback.print_exc()
            finally:
                os._exit(1)
        theirs.close()
        self._channels.append(ours)
        self._pids.append(pid)
        self._in_flight.append({})
        self._windows.append(0)

    def _supply(self, source: Source) -> None:
        """Gives each worker what its window holds and one more, least busy worker first."""
        while True:
            index = min(range(len(self._in_flight)), key=lambda i: len(self._in_flight[i]))
            if len(self._in_flight[index]) > self.pace.window:
                return
            assignment, self._held = self._held or source.next_task(), None
            if assignment is None:
                return
            self._send(index, assignment)

    def _send(self, index: int, assignment: tuple[object, object]) -> None:
        self._number += 1
        window = 0  # no change
        if self._windows[index] != self.pace.window:
            window = self._windows[index] = self.pace.window
        self._in_flight[index][self._number] = assignment
        try:
            self._channels[index].send((self._number, window, self.pace.ahead, assignment[0]))
        except OSError as error:
            raise self._lost(index) from error

    def _receive(self, source: Source, index: int) -> None:
        """Takes every answer that is there."""
        channel = self._channels[index]
        while True:
            try:
                answer: Answer = channel.receive()
            except (EOFError, OSError) as error:
                raise self._lost(index) from error
            task, context = self._in_flight[index].pop(answer.number)
            self._take(source, context, task, answer)
            if not channel.ready():
                return

    def _take(self, source: Source, context: object, task: object, answer: Answer) -> None:
        if answer.crash:
            raise MoverError(f"a defect of the mover: {answer.crash}")
        self.pace.answered(answer.wall_s, answer.ran_s, answer.queued_s)
        source.handle(context, task, answer.result)
        if answer.noted:
            source.note(answer.noted)

    def _lost(self, index: int) -> MoverError:
        code = self._ended(index, END_S)
        return MoverError(
            f"a worker process ended unexpectedly (exit code {code})",
            next_step="If it was out of memory (137, -9), give the pod more memory or lower --memory; then run again.",
        )

    def _ended(self, index: int, within_s: float) -> int | None:
        """The exit code of a worker that ends by then, negative for a signal."""
        deadline_s = time.monotonic() + within_s
        while True:
            pid, status = os.waitpid(self._pids[index], os.WNOHANG)
            if pid:
                self._pids[index] = 0
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() >= deadline_s:
                return None
            time.sleep(0.001)

    def close(self) -> None:
        """Ends the workers. What they were doing is completed by the next run."""
        for channel in self._channels:
            channel.close()
        for index, pid in enumerate(self._pids):
            if pid and self._ended(index, END_S) is None:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
