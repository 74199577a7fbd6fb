"""The sandbox's Kubernetes API server: an ASGI application over an SQLite-backed object store."""
