"""The controllers of the sandbox cluster: storage, scheduling, a node, workloads, Jobs, namespaces, garbage.

They use the Kubernetes API alone, through `sandbox.client`, and keep no state of their own but the volumes'
directories: killed at any instant and started again, they go on from what the API says.
"""
