"""The password of an encrypted private key: from a file, from the environment, or asked for.

A password is not an option of the command line, since other users can read the command lines of all
processes.
"""

import getpass
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from kmipkit_certs.errors import CertificateError

VARIABLE = "KMIPKIT_KEY_PASSWORD"
"""The environment variable with the password."""


@dataclass(slots=True, repr=False, eq=False)
class KeyPassword:
    """Where the password comes from; it is looked up only when something is encrypted.

    The first of these counts: the password itself, the first line of the file, the environment
    variable, and what the user enters.
    """

    text: str | bytes | None = None
    file: Path | None = None
    uses_environment: bool = False
    may_ask: bool = False
    """Whether to ask at the terminal, if there is one. What the user enters is remembered, so that
    a server can reload its certificate."""
    _entered: dict[str, bytes] = field(default_factory=dict)

    def get(self, subject: str) -> bytes | None:
        """The password for a file, which the question names; None if there is none.

        Raises:
            CertificateError: the file with the password cannot be read.
        """
        if self.text is not None:
            return self.text.encode() if isinstance(self.text, str) else self.text
        if self.file is not None:
            return first_line(self.file)
        variable = os.environb.get(VARIABLE.encode()) if self.uses_environment else None
        if variable is not None:
            return variable
        if subject not in self._entered and self.may_ask and sys.stdin.isatty():
            try:
                self._entered[subject] = getpass.getpass(f"Password of {subject}: ").encode()
            except EOFError:
                return None
        return self._entered.get(subject)


def new_password(file: Path | None, subject: str, option: str = "--pkcs12-password-file") -> bytes:
    """The password for something that is to be encrypted: from a file, or asked for twice.

    ``option`` is that of the command line for the file.

    Raises:
        CertificateError: there is neither a file nor a terminal, or the two answers differ.
    """
    if file is not None:
        return first_line(file)
    if not sys.stdin.isatty():
        raise CertificateError(
            f"there is no password for {subject}, and no terminal to ask for it; give a file with"
            f" {option}"
        )
    try:
        entered = getpass.getpass(f"New password of {subject}: ")
        again = getpass.getpass("Again: ")
    except EOFError:
        raise CertificateError(f"there is no password for {subject}") from None
    if entered != again:
        raise CertificateError("the two passwords differ")
    return entered.encode()


def from_command_line(file: Path | None) -> KeyPassword:
    """The password of a command, with its option ``--key-password-file``."""
    return KeyPassword(file=file, uses_environment=True, may_ask=True)


def first_line(path: Path) -> bytes:
    """The password in a file. CertificateError if it cannot be read."""
    try:
        return path.read_bytes().split(b"\n", 1)[0].rstrip(b"\r")
    except OSError as error:
        raise CertificateError(f"{path}: {error.strerror}") from None
