"""What a host keeps over a reboot and must keep secret: its encrypted configuration (vsphere.md §2.8).

One file, AES-256-GCM under a key of its own. With a TPM that key is sealed to it, and to the state
in which the host was booted; without one it lies beside, in a file of mode 0600 (``protectionMode``
``tpm`` or ``none``), and whoever steals the host has it.
"""

import json
import secrets
import threading
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kmipkit_vsphere.model.encoding import convert, to_builtins
from kmipkit_vsphere.model.errors import DamagedData, InvalidArgument, InvalidState
from kmipkit_vsphere.model.files import write_secret

T = TypeVar("T")

KEY_SIZE: Final = 32
_NONCE_SIZE: Final = 12
_BOUND_TO: Final = b"kmipkit-host-configuration"


class Sealer(Protocol):
    """What a TPM does for a host's secrets."""

    def seal(self, data: bytes, state: bytes | None = None) -> bytes:
        """Bind up to 128 bytes to this TPM and to a state of the host, None for the present one."""

    def unseal(self, blob: bytes) -> bytes:
        """The bytes again; raises a fault on another TPM, or in another state."""


class SealedConfig:
    """Name to JSON value, in one encrypted file that is replaced as a whole."""

    def __init__(self, folder: Path, sealer: Sealer | None = None) -> None:
        self._file = folder / "configuration.sealed"
        self._key_file = folder / ("configuration.tpm" if sealer else "configuration.key")
        self._next_key_file = folder / "configuration.tpm.next"
        self._sealer = sealer
        self._lock = threading.Lock()
        self._values = self._load()

    @property
    def protection_mode(self) -> str:
        """``tpm`` or ``none``."""
        return "tpm" if self._sealer else "none"

    def get(self, name: str, default: Any = None) -> Any:
        """A value, as it was set."""
        return self._values.get(name, default)

    def read(self, name: str, kind: type[T]) -> T | None:
        """A value as a message of this type, None if it is unset."""
        value = self._values.get(name)
        try:
            return None if value is None else convert(value, kind)
        except InvalidArgument as error:
            raise DamagedData(f"{name} in {self._file}: {error.message}") from None

    def set(self, name: str, value: Any) -> None:
        """Change a value, durably: a message or what JSON has; None removes it."""
        with self._lock:
            changed = {**self._values, name: to_builtins(value)}
            if value is None:
                del changed[name]
            if changed != self._values:
                self._save(changed)
                self._values = changed

    def seal_for(self, state: bytes) -> None:
        """Let the configuration open in another state of the host, too, such as after an upgrade."""
        if self._sealer is None:
            raise InvalidState("the configuration of this host is not sealed: it has no TPM")
        with self._lock:
            key = self._key()
            # The present state first: the host may have opened the file that is replaced then.
            write_secret(self._key_file, self._sealer.seal(key))
            write_secret(self._next_key_file, self._sealer.seal(key, state))

    def _load(self) -> dict[str, Any]:
        if not self._file.exists():
            return {}
        sealed = self._file.read_bytes()
        nonce, body = sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:]
        try:
            values = json.loads(AESGCM(self._key()).decrypt(nonce, body, _BOUND_TO))
        except (InvalidTag, ValueError):
            raise DamagedData(
                f"{self._file} does not open with {self._key_file}: one of them was altered"
            ) from None
        return dict(values)

    def _save(self, values: dict[str, Any]) -> None:
        nonce = secrets.token_bytes(_NONCE_SIZE)
        sealed = AESGCM(self._key()).encrypt(nonce, json.dumps(values).encode(), _BOUND_TO)
        write_secret(self._file, nonce + sealed)

    def _key(self) -> bytes:
        if not self._key_file.exists():
            key = secrets.token_bytes(KEY_SIZE)
            write_secret(self._key_file, self._sealer.seal(key) if self._sealer else key)
            return key
        stored = self._key_file.read_bytes()
        key = self._unseal(self._sealer, stored) if self._sealer else stored
        if len(key) != KEY_SIZE:
            raise DamagedData(f"{self._key_file} is not a key of {KEY_SIZE} bytes")
        return key

    def _unseal(self, sealer: Sealer, stored: bytes) -> bytes:
        try:
            return sealer.unseal(stored)
        except InvalidState:
            if not self._next_key_file.exists():
                raise
        return sealer.unseal(self._next_key_file.read_bytes())
