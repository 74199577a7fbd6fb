"""`manage.py watcher`: follows the cluster until it is told to end."""

from __future__ import annotations

import logging
import signal
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from worker.clusters import adapter
from worker.validation import Validator
from worker.watcher import Watcher


class Command(BaseCommand):
    help = "Follows the claims of the cluster and keeps the dashboard current; one process a cluster does the work."

    def handle(self, *args: Any, **options: Any) -> None:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
        # Ends at once: an open transaction is rolled back, and the next start lists everything anew.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        name = settings.HOLDFAST_CLUSTER_NAME
        self.stdout.write(f"Following cluster {name}.")
        Validator(name, adapter(name, "watcher"), adapter(name, "prober")).start()
        try:
            Watcher(name, adapter(name, "watcher")).run()
        except KeyboardInterrupt:
            sys.exit(0)
