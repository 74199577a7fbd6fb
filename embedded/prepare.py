"""What happens once at every start, before anybody is served. One process for several commands: each start of Django costs a second.

python -m embedded.prepare schema|pages
"""

import os
import sys

import django
from django.core.management import call_command


def main(part: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    if part == "schema":
        call_command("migrate", interactive=False, verbosity=0)
        return
    call_command("collectstatic", interactive=False, verbosity=0)
    call_command("demo_seed")


if __name__ == "__main__":
    main(sys.argv[1])
