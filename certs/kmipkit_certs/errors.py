"""What can go wrong with certificates, said so that the reader knows what to do."""

from kmipkit.errors import KMIPError


class CertificateError(KMIPError):
    """A certificate, key or request cannot be made, read or signed."""
