"""A chart whose templates are its values: `spec.values.manifests` lists the objects that a release makes.

What Helm looks at when an object leaves a release is fact A7: an upgrade reads `helm.sh/resource-policy` on the live
object, an uninstall reads it in the release as it was stored (a Secret, as Helm keeps it).
"""

from __future__ import annotations

import base64
import json

from sandbox.answers import Object
from sandbox.client import Client
from sandbox.flux.inventory import Reference, reference_of
from sandbox.flux.metadata import add_metadata
from sandbox.flux.values import dig
from sandbox.kinds import HELM_RELEASES, SECRETS

MANAGER = "helm-controller"
FINALIZER = "finalizers.fluxcd.io"
NAME_LABEL = "helm.toolkit.fluxcd.io/name"
NAMESPACE_LABEL = "helm.toolkit.fluxcd.io/namespace"
POLICY = "helm.sh/resource-policy"


def renders(item: Object) -> bool:
    """Whether the release has such a chart."""
    return isinstance(dig(item, "spec", "values", "manifests"), list)


def add_finalizer(client: Client, item: Object) -> None:
    """So that a deleted release is uninstalled first."""
    meta = item["metadata"]
    present = meta.get("finalizers") or []
    if FINALIZER not in present:
        _set_finalizers(client, item, [*present, FINALIZER])


def upgrade(client: Client, item: Object) -> list[Reference]:
    """Installs or upgrades when the rendered objects are not the stored ones; live changes alone are left. Its objects."""
    wanted, stored = _rendered(item), _stored(client, item)
    references = [reference_of(each) for each in wanted]
    if wanted == stored:
        return references
    for each in wanted:
        resource = client.mapping(each["apiVersion"], each["kind"])
        client.apply(resource, each, field_manager=MANAGER, force=True)
    kept = {reference.id for reference in references}
    for each in stored or []:
        if reference_of(each).id not in kept:
            live = _live(client, each)
            if live is not None and _policy(live) != "keep":
                _delete(client, each)
    _store(client, item, wanted)
    return references


def uninstall(client: Client, item: Object) -> None:
    """A deleted release: everything that it stored goes, but for what it stored as kept. A suspended one leaves all of it."""
    if not dig(item, "spec", "suspend"):
        for each in _stored(client, item) or []:
            if _policy(each).strip().lower() != "keep":
                _delete(client, each)
        client.delete(SECRETS, _secret_name(item), _target(item))
    present = item["metadata"].get("finalizers") or []
    _set_finalizers(client, item, [one for one in present if one != FINALIZER])


def _rendered(item: Object) -> list[Object]:
    meta, target = item["metadata"], _target(item)
    made = []
    for template in item["spec"]["values"]["manifests"]:
        each: Object = json.loads(json.dumps(template))
        each["metadata"].setdefault("namespace", target)
        labels = {NAME_LABEL: meta["name"], NAMESPACE_LABEL: meta["namespace"]}
        add_metadata(each, "labels", {**labels, "app.kubernetes.io/managed-by": "Helm"})
        release = {"meta.helm.sh/release-name": _release(item), "meta.helm.sh/release-namespace": target}
        add_metadata(each, "annotations", release)
        made.append(each)
    return made


def _policy(item: Object) -> str:
    return str(dig(item, "metadata", "annotations", POLICY, default=""))


def _live(client: Client, item: Object) -> Object | None:
    meta = item["metadata"]
    return client.find(client.mapping(item["apiVersion"], item["kind"]), meta["name"], meta["namespace"])


def _delete(client: Client, item: Object) -> None:
    meta = item["metadata"]
    resource = client.mapping(item["apiVersion"], item["kind"])
    client.delete(resource, meta["name"], meta["namespace"], propagation="Background")


def _stored(client: Client, item: Object) -> list[Object] | None:
    secret = client.find(SECRETS, _secret_name(item), _target(item))
    if secret is None:
        return None
    found: list[Object] = json.loads(base64.b64decode(secret["data"]["release"]))
    return found


def _store(client: Client, item: Object, objects: list[Object]) -> None:
    body: Object = {
        "metadata": {"name": _secret_name(item), "namespace": _target(item)},
        "type": "helm.sh/release.v1",
        "data": {"release": base64.b64encode(json.dumps(objects).encode()).decode()},
    }
    client.apply(SECRETS, body, field_manager=MANAGER, force=True)


def _secret_name(item: Object) -> str:
    return f"sh.helm.release.v1.{_release(item)}.v1"


def _release(item: Object) -> str:
    return str(dig(item, "spec", "releaseName") or item["metadata"]["name"])


def _target(item: Object) -> str:
    return str(dig(item, "spec", "targetNamespace") or item["metadata"]["namespace"])


def _set_finalizers(client: Client, item: Object, finalizers: list[str]) -> None:
    meta = item["metadata"]
    body = {"metadata": {"finalizers": finalizers}}
    client.patch(HELM_RELEASES, meta["name"], body, meta["namespace"], field_manager=MANAGER)
