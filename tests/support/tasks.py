"""Tasks that tests give to a real Celery worker."""

import os
import time
from pathlib import Path

from celery import shared_task


@shared_task(name="tests.touch")
def touch(path: str) -> None:
    """Writes which process ran it."""
    Path(path).write_text(str(os.getpid()))


@shared_task(name="tests.hang")
def hang(path: str, seconds: float) -> None:
    """Says that it began, then hangs."""
    Path(path).write_text(str(os.getpid()))
    time.sleep(seconds)


@shared_task(name="tests.add_person")
def add_person(username: str) -> None:
    """Writes to the database with the worker's own connection."""
    from django.contrib.auth import get_user_model

    get_user_model().objects.create(username=username)
