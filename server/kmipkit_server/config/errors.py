"""What is wrong with a configuration."""

from kmipkit.errors import KMIPError


class ConfigError(KMIPError):
    """The configuration is not usable; each fault names the place and the setting, in one line."""

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults
