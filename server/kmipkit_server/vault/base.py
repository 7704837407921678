"""What all vaults have in common."""

from kmipkit.errors import KMIPError


class VaultError(KMIPError):
    """The root key cannot be used; the text says what is wrong and what helps."""
