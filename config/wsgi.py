"""Entry point of the web server."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()

from audit.posture import note_at_start  # noqa: E402 - apps are loaded by now

note_at_start("web")
