"""Where a passphrase or a PIN comes from. It is never part of a setting, which others may see."""

import getpass
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kmipkit_server.vault.credential import read_credential
from kmipkit_server.vault.errors import VaultError
from kmipkit_server.vault.files import read_private

MAX_SIZE = 4096
"""Bytes of a secret."""

_remembered: dict[str, bytes] = {}
"""Secrets that can be had only once: what the user has entered, or a pipe has given."""


@dataclass(frozen=True, slots=True)
class SecretSource:
    """A place where a secret is."""

    kind: str = "terminal"
    value: str = ""

    @property
    def is_read_once(self) -> bool:
        """Whether the secret cannot be had a second time."""
        return self.kind in ("terminal", "fd")

    def __str__(self) -> str:
        return "the terminal" if self.kind == "terminal" else f"{self.kind} {self.value}"


def remembered() -> Mapping[str, bytes]:
    """The secrets that were read and cannot be read again, for other processes of this server."""
    return dict(_remembered)


def remember(secrets: Mapping[str, bytes]) -> None:
    """Use what another process of this server has read (:func:`remembered`)."""
    _remembered.update(secrets)


def parse(text: str, base: Path) -> SecretSource:
    """The source in ``file=PATH``, ``fd=N``, ``env=NAME`` or ``credential=NAME``; empty: the terminal.

    ValueError if it is none.
    """
    if not text:
        return SecretSource()
    kind, _, value = text.partition("=")
    return source(kind, value, base)


def source(kind: str, value: str, base: Path) -> SecretSource:
    """A source of a kind. ValueError if there is none."""
    if kind not in _READERS:
        raise ValueError(
            f"must have file=PATH, fd=NUMBER, env=NAME or credential=NAME, and not {kind!r}"
        )
    if not value:
        raise ValueError(f"has nothing after {kind}=")
    if kind == "file":
        return SecretSource(kind, str((base / value).absolute()))
    if kind == "fd" and not (value.isascii() and value.isdigit() and int(value) <= 65535):
        raise ValueError("must have a number after fd=")
    if kind == "credential" and "/" in value:
        raise ValueError("must have the name of a credential, without a slash")
    return SecretSource(kind, value)


def read(wanted: SecretSource, subject: str, *, may_ask: bool, twice: bool = False) -> bytes:
    """The secret. VaultError if there is none.

    Args:
        subject: what it is the secret of, for the question at the terminal.
        may_ask: whether a question can be answered.
        twice: whether it is a new one, which is entered twice.
    """
    key = f"{wanted.kind} {wanted.value or subject}"
    if key in _remembered:
        return _remembered[key]
    if wanted.kind == "terminal":
        secret = _ask(subject, may_ask=may_ask, twice=twice)
    else:
        secret = _READERS[wanted.kind](wanted.value, subject)
    secret = secret.split(b"\n", 1)[0].removesuffix(b"\r")
    if not secret:
        raise VaultError(f"{wanted} has no {subject}: its first line is empty")
    if len(secret) > MAX_SIZE:
        raise VaultError(f"{wanted} has a {subject} of more than {MAX_SIZE} bytes")
    if wanted.is_read_once:
        _remembered[key] = secret
    return secret


def _ask(subject: str, *, may_ask: bool, twice: bool) -> bytes:
    if not may_ask or not sys.stdin.isatty():
        raise VaultError(
            f"there is no terminal to ask for the {subject}; name a file, a file descriptor or a"
            " credential that has it (docs/root-keys.md)"
        )
    try:
        entered = getpass.getpass(f"{subject[:1].upper()}{subject[1:]}: ")
        if twice and getpass.getpass("Again: ") != entered:
            raise VaultError("the two answers differ")
    except EOFError:
        raise VaultError(f"there is no {subject}") from None
    return entered.encode()


def _read_file(path: str, subject: str) -> bytes:
    if not Path(path).exists():
        raise VaultError(
            f"{path} does not exist; it must have the {subject} in its first line: restore the file, or"
            " name another one in the URI of the root key"
        )
    return read_private(Path(path), MAX_SIZE + 2)


def _read_descriptor(number: str, _: str) -> bytes:
    try:
        with open(int(number), "rb", closefd=False) as file:
            return file.read(MAX_SIZE + 2)
    except OSError as error:
        raise VaultError(
            f"file descriptor {number}: {error.strerror}; start the server with a secret on it, such as"
            f" {number}< FILE"
        ) from None


def _read_variable(name: str, _: str) -> bytes:
    value = os.environb.get(os.fsencode(name))
    if not value:
        raise VaultError(f"the environment variable {name} is not set")
    return value


def _read_credential(name: str, _: str) -> bytes:
    return read_credential(name, MAX_SIZE + 2)


_READERS: Mapping[str, Callable[[str, str], bytes]] = {
    "file": _read_file,
    "fd": _read_descriptor,
    "env": _read_variable,
    "credential": _read_credential,
}
