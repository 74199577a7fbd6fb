from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cluster.recording import Recorder


@pytest.fixture
def recorder() -> Iterator[Callable[..., Recorder]]:
    """Makes a recording server that gives the answers."""
    made: list[Recorder] = []

    def make(*answers: tuple[int, Any] | None) -> Recorder:
        made.append(Recorder(list(answers)))
        return made[-1]

    yield make
    for server in made:
        server.close()
