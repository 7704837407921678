"""What is wrong with a backup."""

from kmipkit.errors import KMIPError


class BackupError(KMIPError):
    """A backup cannot be made, opened or restored; the text says why, and what to do."""
