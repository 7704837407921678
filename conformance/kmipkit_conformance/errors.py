"""What can go wrong with the tester itself, as opposed to the server that it tests."""

from kmipkit.errors import KMIPError


class ConformanceError(KMIPError):
    """A case cannot be read, the target cannot be reached, a report cannot be written."""


class NoAnswer(ConformanceError):
    """The server closed the connection, was silent for too long, or said what is no answer."""
