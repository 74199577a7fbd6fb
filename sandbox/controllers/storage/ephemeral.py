"""Claims of generic ephemeral volumes: `<pod>-<volume>`, owned by the pod."""

from __future__ import annotations

from sandbox.answers import ApiError
from sandbox.controllers.core import Context, Controller
from sandbox.controllers.objects import is_deleting, is_finished, name_of, owner_reference, spec_of
from sandbox.kinds import PERSISTENT_VOLUME_CLAIMS, PODS


class EphemeralVolumes(Controller):
    name = "ephemeral-volumes"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.pods = self.watch(PODS)

    def reconcile(self, key: tuple[str, str]) -> float | None:
        pod = self.pods.get(key[1], key[0])
        if pod is None or is_deleting(pod) or is_finished(pod):
            return None
        for volume in spec_of(pod).get("volumes") or []:
            template = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
            if template is None:
                continue
            meta = template.get("metadata") or {}
            body = {
                "metadata": {
                    "name": f"{name_of(pod)}-{volume['name']}",
                    "labels": meta.get("labels") or {},
                    "annotations": meta.get("annotations") or {},
                    "ownerReferences": [owner_reference(pod, "v1", "Pod")],
                },
                "spec": template["spec"],
            }
            if self.context.cache(PERSISTENT_VOLUME_CLAIMS).get(body["metadata"]["name"], key[0]) is None:
                try:
                    self.context.create(PERSISTENT_VOLUME_CLAIMS, body, key[0])
                except ApiError as error:
                    if not error.already_exists:
                        raise
        return None
