"""Flux-like controllers: GitRepository, Kustomization and, as far as ownership needs it, HelmRelease.

They use only the Kubernetes API and git. What they imitate, and how exactly: docs/reference/sandbox-gitops.md.
"""
