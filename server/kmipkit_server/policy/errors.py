"""What is wrong with a policy."""

from kmipkit.errors import KMIPError


class PolicyError(KMIPError):
    """A policy document is not usable; each fault names the place and what is wrong, in one line."""

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class InvalidValue(KMIPError):
    """A value in a document is not valid; the text says what it must be, after the name of its key."""
