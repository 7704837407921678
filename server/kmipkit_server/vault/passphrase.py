"""A root key that is computed from a passphrase with Argon2id (RFC 9106).

The salt and the cost are stored with the database, so that a restored copy of it needs nothing but the
passphrase. They are chosen when the root key is used for the first time; the cost in the URI changes
nothing later. A rotation chooses new ones.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qsl

import msgspec
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from kmipkit_server.vault import secrets
from kmipkit_server.vault.base import KEY_SIZE
from kmipkit_server.vault.counter import CounterFile
from kmipkit_server.vault.errors import VaultError
from kmipkit_server.vault.secrets import SecretSource
from kmipkit_server.vault.software import SoftwareVault

SALT_SIZE = 16
"""Bytes: "16 bytes is recommended for password hashing" (RFC 9106 §3.1)."""

SUBJECT = "passphrase of the root key"


_COST = (
    "must have a cost such as ?memory=64&passes=3&lanes=4: up to 4096 MiB, 1000 passes and 64 lanes"
)


class Cost(msgspec.Struct, frozen=True):
    """What one guess costs. The defaults are the second recommended option of RFC 9106 §4."""

    memory: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 64
    """MiB."""
    passes: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 3
    lanes: Annotated[int, msgspec.Meta(ge=1, le=64)] = 4


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is stored with the database."""

    salt: Annotated[bytes, msgspec.Meta(min_length=8, max_length=64)]
    cost: Cost
    kdf: Annotated[str, msgspec.Meta(pattern="^argon2id$")] = "argon2id"


def parse(rest: str, base: Path) -> tuple[SecretSource, Cost]:
    """The parts of ``[SOURCE][?memory=MiB&passes=N&lanes=N]``. ValueError if it is none."""
    place, _, query = rest.partition("?")
    wanted = secrets.parse(place, base)
    pairs = parse_qsl(query, keep_blank_values=True) if query else []
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names) or set(names) - set(Cost.__struct_fields__):
        raise ValueError(_COST)
    try:
        cost = msgspec.convert(dict(pairs), Cost, strict=False)
    except msgspec.ValidationError:
        raise ValueError(_COST) from None
    return wanted, cost


def derive(passphrase: bytes, parameters: Parameters) -> bytes:
    """The root key. VaultError if it cannot be computed here."""
    cost = parameters.cost
    try:
        return Argon2id(
            salt=parameters.salt,
            length=KEY_SIZE,
            iterations=cost.passes,
            lanes=cost.lanes,
            memory_cost=cost.memory * 1024,
        ).derive(passphrase)
    except UnsupportedAlgorithm:
        raise VaultError(
            "Argon2id needs OpenSSL 3.2 or later; the packages of cryptography from the Python Package"
            " Index have it"
        ) from None
    except (MemoryError, InternalError):
        raise VaultError(
            f"the root key needs {cost.memory} MiB of memory while it is computed from its passphrase,"
            " which this machine does not have"
        ) from None


class PassphraseVault(SoftwareVault):
    """Wraps keys with a root key from a passphrase."""

    kind = "passphrase"

    def __init__(
        self,
        passphrase: bytes,
        wanted: SecretSource,
        cost: Cost,
        place: str,
        counter: CounterFile,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        super().__init__(b"", place, counter)
        self._passphrase = passphrase
        self._source = wanted
        self._cost = cost
        self._random = random
        self._parameters: Parameters | None = None

    @property
    def identifier(self) -> str:
        """See :class:`.base.Vault`; with a new salt, unless :meth:`fits` has found the one in use."""
        self._require_key()
        return super().identifier

    @property
    def parameters(self) -> str:
        """The salt and the cost, as JSON."""
        self._require_key()
        return msgspec.json.encode(self._parameters).decode()

    def fits(self, identifier: str, parameters: str) -> bool:
        """See :class:`.base.Vault`."""
        try:
            found = msgspec.json.decode(parameters, type=Parameters)
        except msgspec.MsgspecError:
            return False  # those of another kind
        self._use(found)
        if super().identifier == identifier:
            return True
        self._parameters = None
        return False

    def wrap(self, key: bytes) -> bytes:
        """See :class:`.base.Vault`."""
        self._require_key()
        return super().wrap(key)

    def unwrap(self, wrapped: bytes) -> bytes:
        """See :class:`.base.Vault`."""
        self._require_key()
        return super().unwrap(wrapped)

    def other_key(self) -> str:
        """See :class:`.base.Vault`."""
        return f"the passphrase from {self._source} is not the one of this database"

    def _require_key(self) -> None:
        if self._parameters is None:
            self._use(Parameters(self._random(SALT_SIZE), self._cost))

    def _use(self, parameters: Parameters) -> None:
        self._root_key = derive(self._passphrase, parameters)
        self._parameters = parameters
