"""Errors of certificates; the message says what is wrong and what to do about it."""

from kmipkit.errors import KMIPError


class CertificateError(KMIPError):
    """A certificate, key or request cannot be made, read or signed."""
