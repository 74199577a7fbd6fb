"""The sandbox's nodes: those that the API server brings, or two where it brings none."""

from __future__ import annotations

from sandbox.controllers.core import Context
from sandbox.controllers.node.isolation import DESCRIPTIONS
from sandbox.controllers.objects import Object, timestamp
from sandbox.kinds import NODES

NODE_NAMES = ("node-1", "node-2")
ISOLATION = "sandbox.holdfast.dev/isolation"


def install_nodes(context: Context, mode: str) -> None:
    """Makes sure that there are nodes, and says on each how containers are isolated on this machine."""
    nodes = context.client.list(NODES)
    if not nodes:
        nodes = [_create(context, name, number) for number, name in enumerate(NODE_NAMES, 1)]
    for node in nodes:
        name = node["metadata"]["name"]
        context.client.patch(NODES, name, {"metadata": {"annotations": {ISOLATION: mode}}})
        context.event(
            node, NODES, "Normal", "Isolation", f"Containers run in {DESCRIPTIONS[mode]}", "kubelet"
        )


def _create(context: Context, name: str, number: int) -> Object:
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "topology.kubernetes.io/zone": f"zone-{number}",
    }
    node = context.client.create(NODES, {"metadata": {"name": name, "labels": labels}, "spec": {}})
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "lastHeartbeatTime": timestamp(),
        "lastTransitionTime": timestamp(),
    }
    context.client.patch_status(NODES, name, {"conditions": [ready]})
    return node
