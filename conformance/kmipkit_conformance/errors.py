"""Errors of the tester itself, as opposed to failures of the server under test."""

from kmipkit.errors import KMIPError


class ConformanceError(KMIPError):
    """A case cannot be read, the target cannot be reached, a report cannot be written."""


class NoAnswer(ConformanceError):
    """The server closed the connection, did not respond in time, or sent no KMIP response."""
