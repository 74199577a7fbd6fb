"""A kustomize-like builder for what people's repositories use: trees of resources, bases, overlays and components,
patches of both kinds, names, namespaces, labels, annotations, generators with hash suffixes, images, replicas and
the built-in transformers. It agrees with the kustomize program on all of that (a test compares), and refuses the rest.

    build(directory) -> list of objects        KustomizeError when the tree cannot be built
"""

from sandbox.flux.kustomize.builder import build
from sandbox.flux.kustomize.errors import KustomizeError
from sandbox.flux.kustomize.yaml_loader import Loader

__all__ = ["KustomizeError", "Loader", "build"]
