"""Sizes as Kubernetes writes them."""

_SUFFIXES = (("Ti", 1024**4), ("Gi", 1024**3), ("Mi", 1024**2), ("Ki", 1024))


def quantity(size_bytes: int) -> str:
    """The canonical form: the largest binary suffix that leaves a whole number, as the server would write it back."""
    for suffix, unit in _SUFFIXES:
        if size_bytes and size_bytes % unit == 0:
            return f"{size_bytes // unit}{suffix}"
    return str(size_bytes)
