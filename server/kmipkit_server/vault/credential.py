"""A root key in a credential of systemd (``LoadCredential=``, ``LoadCredentialEncrypted=``).

systemd puts the credentials of a service into a directory that only the service can read, in memory
that is never swapped out, and names it in ``$CREDENTIALS_DIRECTORY`` (systemd.exec(5),
"Credentials").
"""

import os
from pathlib import Path

from kmipkit_server.vault.counter import CounterFile
from kmipkit_server.vault.errors import VaultError
from kmipkit_server.vault.software import MAX_DIGITS, SoftwareVault, parse_digits

VARIABLE = "CREDENTIALS_DIRECTORY"


class CredentialVault(SoftwareVault):
    """Wraps keys with a root key from a credential."""

    kind = "credential"

    @classmethod
    def open(cls, name: str, counter: CounterFile) -> "CredentialVault":
        """Read the root key. VaultError if there is none."""
        content = read_credential(name, MAX_DIGITS)
        return cls(parse_digits(content, f"the credential {name}"), f"credential:{name}", counter)


def read_credential(name: str, size: int) -> bytes:
    """The first bytes of a credential. VaultError if there is none."""
    directory = os.environ.get(VARIABLE)
    if not directory:
        raise VaultError(
            f"there is no credential {name}: ${VARIABLE} is not set; start the server with systemd, and"
            f" give its unit LoadCredential={name}:PATH"
        )
    # The mode says nothing here: systemd gives access with an access control list.
    try:
        with (Path(directory) / name).open("rb") as file:
            return file.read(size)
    except FileNotFoundError:
        raise VaultError(
            f"systemd has given this service no credential {name}; add LoadCredential={name}:PATH to"
            " its unit"
        ) from None
    except OSError as error:
        raise VaultError(f"{error.filename}: {error.strerror}") from None
