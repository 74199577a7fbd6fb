"""What happens once at every start, before anybody is served. One process for several commands: each start of Django costs a second.

python -m embedded.prepare schema|pages
"""

import io
import os
import sys

import django
from django.conf import settings
from django.core.management import call_command


def main(part: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    if part == "schema":
        call_command("migrate", interactive=False, verbosity=0)
        return
    call_command("collectstatic", interactive=False, verbosity=0)
    # Quietly: the last line of what is printed is that of demo_seed.
    call_command(
        "connect_repository",
        "fleet",
        url=f"file://{settings.HOLDFAST_DATA}/sandbox/git/fleet.git",
        branch="main",
        source="flux-system/fleet",
        push="direct",
        stdout=io.StringIO(),
    )
    call_command("demo_seed")


if __name__ == "__main__":
    main(sys.argv[1])
