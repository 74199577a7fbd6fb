"""What is not the procedure itself: abort, roll back, undo, purge. Each is ticked like a step."""

from collections.abc import Callable

from migrations_app.states import State
from worker.context import Context
from worker.courses import abort, purge, roll_back, undo
from worker.outcomes import Outcome

FOR_STATE: dict[State, Callable[[Context], Outcome]] = {
    State.ABORTING: abort.tick,
    State.ROLLING_BACK: roll_back.tick,
    State.UNDOING: undo.tick,
    State.PURGING: purge.tick,
}
END_STATE: dict[State, State] = {
    State.ABORTING: State.ABORTED,
    State.ROLLING_BACK: State.ROLLED_BACK,
    State.UNDOING: State.UNDONE,
    State.PURGING: State.COMPLETED,
}
