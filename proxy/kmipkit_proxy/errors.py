"""The error of the three commands."""

from kmipkit.errors import KMIPError


class ProxyError(KMIPError):
    """A file, an address or a certificate cannot be used."""
