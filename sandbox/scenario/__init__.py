"""The seeded clusters: demo-east for the demo, small for tests. See docs/reference/sandbox-gitops.md."""
