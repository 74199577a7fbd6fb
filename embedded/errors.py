"""Expected failures of the embedded runtime."""


class CannotStart(Exception):
    """One sentence for the person at the terminal: what is wrong and what to do."""
