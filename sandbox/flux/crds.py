"""The custom resource definitions that Flux would install, with the parts of the schema that matter here."""

from __future__ import annotations

from sandbox.answers import ApiError, Object
from sandbox.client import Client
from sandbox.kinds import CUSTOM_RESOURCE_DEFINITIONS

_OPEN: Object = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def definition(
    group: str,
    versions: tuple[str, ...],
    plural: str,
    kind: str,
    *,
    short: tuple[str, ...] = (),
    namespaced: bool = True,
    columns: tuple[tuple[str, str], ...] = (),
    categories: tuple[str, ...] = (),
) -> Object:
    """A CustomResourceDefinition with an open schema, a status subresource and printer columns (name, JSONPath)."""
    printed = [{"name": name, "type": "string", "jsonPath": path} for name, path in columns]
    printed.append({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"})
    return {
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced" if namespaced else "Cluster",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": list(short),
                "categories": list(categories),
            },
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": number == 0,
                    "schema": {
                        "openAPIV3Schema": {"type": "object", "properties": {"spec": _OPEN, "status": _OPEN}}
                    },
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": printed,
                }
                for number, version in enumerate(versions)
            ],
        },
    }


_READY = (
    ("Ready", '.status.conditions[?(@.type=="Ready")].status'),
    ("Status", '.status.conditions[?(@.type=="Ready")].message'),
)

FLUX_DEFINITIONS: tuple[Object, ...] = (
    definition(
        "source.toolkit.fluxcd.io",
        ("v1",),
        "gitrepositories",
        "GitRepository",
        short=("gitrepo",),
        columns=(("URL", ".spec.url"), *_READY),
    ),
    definition(
        "kustomize.toolkit.fluxcd.io",
        ("v1",),
        "kustomizations",
        "Kustomization",
        short=("ks",),
        columns=_READY,
    ),
    definition(
        "helm.toolkit.fluxcd.io", ("v2",), "helmreleases", "HelmRelease", short=("hr",), columns=_READY
    ),
)


def install(client: Client, definitions: tuple[Object, ...]) -> None:
    """Creates the definitions that are not there yet; leaves existing ones as they are."""
    for body in definitions:
        try:
            client.create(CUSTOM_RESOURCE_DEFINITIONS, body)
        except ApiError as error:
            if not error.already_exists:
                raise
