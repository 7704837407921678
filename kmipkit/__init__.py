"""The KMIP protocol as bytes and values, without sockets, clocks, threads, logs or databases."""

__version__ = "0.1.0"
