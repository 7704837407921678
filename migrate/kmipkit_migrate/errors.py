"""What keeps a migration or a comparison from going on."""

from kmipkit.errors import KMIPError


class MigrationError(KMIPError):
    """It cannot begin or go on; the text says why, and what to do."""
