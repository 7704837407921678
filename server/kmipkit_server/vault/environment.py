"""A root key in an environment variable, as 64 hexadecimal digits."""

import os

from kmipkit_server.vault.counter import CounterFile
from kmipkit_server.vault.errors import VaultError
from kmipkit_server.vault.software import SoftwareVault, parse_digits


class EnvironmentVault(SoftwareVault):
    """Wraps keys with a root key from the environment."""

    kind = "environment"

    @classmethod
    def open(cls, variable: str, counter: CounterFile) -> "EnvironmentVault":
        """Read the root key. VaultError if there is none."""
        digits = os.environb.get(os.fsencode(variable))
        if not digits:
            raise VaultError(
                f"the environment variable {variable} with the root key is not set; set it to the 64"
                " hexadecimal digits that the database was written with"
            )
        name = f"the environment variable {variable}"
        return cls(parse_digits(digits, name), f"env:{variable}", counter)
