"""The error of all vaults."""

from kmipkit.errors import KMIPError


class VaultError(KMIPError):
    """The root key cannot be used; the text says what is wrong, and what to do."""
