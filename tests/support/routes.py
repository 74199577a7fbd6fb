"""Arguments for routes, for the tests that walk all of them.

Where a route is not named here, its arguments are made up (a large number, or "nothing-here"), and the answer of those who
may is mostly 404. Add a route to `SAMPLES` to see it answer with something real: a function that makes the object and returns the arguments.
"""

from collections.abc import Callable
from typing import Any

from django.urls import reverse

from accounts.routes import Route

SAMPLES: dict[str, Callable[[], dict[str, Any]]] = {}


def url_of(route: Route) -> str:
    """An address of `route`."""
    if route.name in SAMPLES:
        return reverse(route.name, kwargs=SAMPLES[route.name]())
    made_up = {name: 999_999_999 if number else "nothing-here" for name, number in route.arguments}
    path = route.path
    for name, value in made_up.items():
        path = _filled(path, name, str(value))
    return path


def _filled(path: str, name: str, value: str) -> str:
    begin = next(
        i
        for i in range(len(path))
        if path[i] == "<" and path[i:].split(">", 1)[0].rsplit(":", 1)[-1].lstrip("<") == name
    )
    return path[:begin] + value + path[path.index(">", begin) + 1 :]
