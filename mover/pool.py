"""Worker processes with threads, and the loop that keeps them supplied.

The coordinator sends a task down a worker's pipe and gets a result back; whichever thread of the worker is free takes the next
task. How many tasks are in flight in a worker is its window, which `mover.pace` widens while the processors wait for storage.
"""

import os
import signal
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import NamedTuple, Protocol

from mover.errors import MoverError
from mover.pace import Pace, Stopwatch

TICK_S = 0.2


class Runs(Protocol):
    """What a worker runs."""

    def run(self, task: object) -> object:
        """The result of a task; expected errors are part of it."""


class Source(Protocol):
    """What the loop asks the coordinator."""

    def next_task(self) -> tuple[object, object] | None:
        """The next task and its context, which stays here; None while there is none."""

    def handle(self, context: object, task: object, result: object) -> None:
        """Takes the result of a task; raises MoverError to stop the run."""

    def tick(self) -> None:
        """Called a few times a second."""


class Message(NamedTuple):
    """To a worker. A window of 0 means: no change."""

    number: int
    window: int
    task: object


class Answer(NamedTuple):
    """From a worker. `crash` is a traceback."""

    number: int
    result: object
    crash: str
    wall_s: float
    busy_s: float


class _Gate:
    """A semaphore whose number of permits can change."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._permits = 1
        self._inside = 0

    def widen(self, permits: int) -> None:
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

    def __init__(self, connection: Connection, job: Runs) -> None:
        self.connection = connection
        self.job = job
        self.gate = _Gate()
        self.reading = threading.Lock()
        self.writing = threading.Lock()
        self.threads = 0

    def serve(self) -> None:
        """Takes tasks until the coordinator closes the pipe. Starts one more thread whenever all are busy."""
        while True:
            with self.reading:
                try:
                    message = self.connection.recv()
                except (EOFError, OSError):
                    os._exit(0)
                if message.window > self.threads:
                    self.start(message.window)
            self.gate.enter()
            try:
                answer = self._answer(message)
            finally:
                self.gate.leave()
            with self.writing:
                try:
                    self.connection.send(answer)
                except OSError:
                    os._exit(0)

    def start(self, window: int) -> None:
        """Has two threads more than may work at once, so that the next tasks are already at hand."""
        while self.threads < window + 1:
            self.threads += 1
            threading.Thread(target=self.serve, daemon=True).start()
        self.gate.widen(window)

    def _answer(self, message: Message) -> Answer:
        watch = Stopwatch()
        try:
            result = self.job.run(message.task)
        except Exception:  # noqa: BLE001  a defect: the coordinator reports it and stops
            return Answer(message.number, None, traceback.format_exc(), 0, 0)
        return Answer(message.number, result, "", *watch.read())


def _work(connection: Connection, others: list[Connection], make_job: Callable[[], Runs]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for other in others:
        other.close()
    worker = _Worker(connection, make_job())
    worker.start(1)
    threading.Event().wait()


class Pool:
    """The worker processes, seen from the coordinator."""

    def __init__(self, make_job: Callable[[], Runs], pace: Pace) -> None:
        self.pace = pace
        self.connections: list[Connection] = []
        self.processes = []
        self._in_flight: list[dict[int, tuple[object, object]]] = []
        self._windows: list[int] = []
        self._number = 0
        context = get_context("fork")
        for _ in range(pace.processes):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_work, args=(theirs, [ours, *self.connections], make_job), daemon=True
            )
            process.start()
            theirs.close()
            self.connections.append(ours)
            self.processes.append(process)
            self._in_flight.append({})
            self._windows.append(1)

    def run(self, source: Source) -> None:
        """Until there is no task left and none in flight."""
        last_tick = time.monotonic()
        while True:
            self._supply(source)
            if not any(self._in_flight):
                return
            for ready in wait(self.connections, TICK_S):
                self._receive(source, self.connections.index(ready))  # type: ignore[arg-type]
            now = time.monotonic()
            if now - last_tick >= TICK_S:
                last_tick = now
                self.pace.measure(now)
                source.tick()

    def _supply(self, source: Source) -> None:
        """Gives each worker what its window holds and one more, least busy worker first."""
        while True:
            index = min(range(len(self._in_flight)), key=lambda i: len(self._in_flight[i]))
            if len(self._in_flight[index]) > self.pace.window:
                return
            assignment = source.next_task()
            if assignment is None:
                return
            self._send(index, assignment)

    def _send(self, index: int, assignment: tuple[object, object]) -> None:
        self._number += 1
        window = 0
        if self._windows[index] != self.pace.window:
            window = self._windows[index] = self.pace.window
        self._in_flight[index][self._number] = assignment
        try:
            self.connections[index].send(Message(self._number, window, assignment[0]))
        except OSError as error:
            raise self._lost(index) from error

    def _receive(self, source: Source, index: int) -> None:
        """Takes every answer that is there."""
        connection = self.connections[index]
        while True:
            try:
                answer: Answer = connection.recv()
            except (EOFError, OSError) as error:
                raise self._lost(index) from error
            if answer.crash:
                raise MoverError(f"a defect of the mover: {answer.crash}")
            task, context = self._in_flight[index].pop(answer.number)
            self.pace.answered(answer.wall_s, answer.busy_s)
            source.handle(context, task, answer.result)
            if not connection.poll():
                return

    def _lost(self, index: int) -> MoverError:
        self.processes[index].join(1)
        code = self.processes[index].exitcode
        return MoverError(
            f"a worker process ended unexpectedly (exit code {code})",
            next_step="If it was out of memory (137, -9), give the pod more memory or lower --memory; then run again.",
        )

    def close(self) -> None:
        """Ends the workers. What they were doing is completed by the next run."""
        for connection in self.connections:
            connection.close()
        for process in self.processes:
            process.join(0.5)
            if process.is_alive():
                process.kill()
                process.join()
