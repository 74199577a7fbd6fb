"""A Kyverno-like admission engine: ClusterPolicies with deny conditions, answered through a validating webhook."""
