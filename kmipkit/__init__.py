"""KMIP as bytes and values: no socket, clock, thread, log or database lives in this package."""

__version__ = "0.1.0"
