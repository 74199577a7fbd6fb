"""A kustomize-like builder for what people's repositories use. See build()."""

from sandbox.flux.kustomize.builder import build
from sandbox.flux.kustomize.errors import KustomizeError
from sandbox.flux.kustomize.yaml_loader import Loader

__all__ = ["KustomizeError", "Loader", "build"]
