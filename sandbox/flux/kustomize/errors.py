"""What can go wrong in a build."""


class KustomizeError(Exception):
    """The tree cannot be built as it is."""
