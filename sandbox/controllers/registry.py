"""The list of all controllers (the kubelet is added where the isolation mode is known)."""

from __future__ import annotations

from sandbox.controllers.core import Context, Controller
from sandbox.controllers.storage.attach import Attacher
from sandbox.controllers.storage.binder import Binder
from sandbox.controllers.storage.provisioner import Provisioner, Reclaimer
from sandbox.controllers.workloads.jobs import JobController
from sandbox.controllers.workloads.scheduler import Scheduler


def build_controllers(context: Context) -> list[Controller]:
    return [
        Binder(context),
        Provisioner(context),
        Reclaimer(context),
        Attacher(context),
        Scheduler(context),
        JobController(context),
    ]
