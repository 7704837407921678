"""The client's TLS settings: fixed, or made from files and made again when these change."""

import ssl
from collections.abc import Mapping
from os import PathLike, fspath, stat
from os.path import exists
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from kmipkit_client.errors import ClientError

if TYPE_CHECKING:
    from kmipkit_certs.passwords import KeyPassword

File = str | PathLike[str]
Certificates = File | bytes
"""A file, or its contents: PEM as text or bytes; DER, PKCS #7 or PKCS #12 as bytes."""

_PEM = "-----BEGIN "
_LONGEST_NAME = 1024
"""Longer texts are not shown as names of files."""


class TLS(Protocol):
    """Where new connections get their TLS settings from."""

    def context(self) -> ssl.SSLContext:
        """The current settings: another object after a change."""


class FixedTLS:
    """Settings that never change."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    def context(self) -> ssl.SSLContext:
        """The settings."""
        return self._context


class FileTLS:
    """Settings from files, which are read again when one of them is another file or was written.

    While the new files cannot be used, because only one of them is in place so far, the last settings
    that were good stay in use.
    """

    def __init__(
        self,
        ca: Certificates | None,
        cert: Certificates | None,
        key: Certificates | None,
        password: "KeyPassword | str | bytes | None" = None,
    ) -> None:
        """Read the files. ClientError if one of them cannot be used."""
        self._sources = (_contents(ca), _contents(cert), _contents(key))
        self._password = password
        self._lock = Lock()
        self._state = self._files()
        self._context = tls_context(*self._sources, password)

    def context(self) -> ssl.SSLContext:
        """The settings from the files as they are now, or as they were last when they were good."""
        state = self._files()
        if state != self._state:
            with self._lock:
                self._reload(state)
        return self._context

    def _reload(self, state: tuple[tuple[int, ...], ...]) -> None:
        if state == self._state or not all(state):
            return
        try:
            self._context = tls_context(*self._sources, self._password)
        except ClientError:
            return  # tried again with the next connection
        self._state = state

    def _files(self) -> tuple[tuple[int, ...], ...]:
        """What shows that a file was exchanged or written; nothing for a file that is missing."""
        files = (source for source in self._sources if source and not isinstance(source, bytes))
        return tuple(map(_state, files))


def _state(file: File) -> tuple[int, ...]:
    try:
        found = stat(fspath(file))
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def chosen_tls(
    context: ssl.SSLContext | None,
    ca: Certificates | None,
    cert: Certificates | None,
    key: Certificates | None,
    password: str | bytes | None,
) -> TLS:
    """The settings that a user has chosen. ClientError if some of them would have no effect."""
    if context is None:
        return FileTLS(ca, cert, key, password)
    if (ca, cert, key, password) != (None, None, None, None):
        raise ClientError(
            "context takes the place of ca, cert, key and key_password: give either it or them"
        )
    return FixedTLS(context)


def tls_context(
    ca: Certificates | None,
    cert: Certificates | None,
    key: Certificates | None,
    password: "KeyPassword | str | bytes | None" = None,
) -> ssl.SSLContext:
    """A context for mutual TLS.

    Args:
        ca: the authorities of the server; without it, those of the system.
        cert: the client's certificate, PEM, DER or PKCS #12.
        key: its private key, if that is not in the same file.
        password: the password of the private key, or of a PKCS #12 file.

    Each is a file, or the contents of one as bytes or PEM text.

    Raises:
        ClientError: a file is missing or not valid.
    """
    # Here, since a client with a context of its own needs none of this.
    from kmipkit_certs.contexts import client_context
    from kmipkit_certs.credentials import load_certificates, load_credentials
    from kmipkit_certs.errors import CertificateError
    from kmipkit_certs.passwords import KeyPassword

    ca, cert, key = _contents(ca), _contents(cert), _contents(key)
    sources = {"ca": ca, "cert": cert, "key": key}
    files = {
        name: source for name, source in sources.items() if source and not isinstance(source, bytes)
    }
    missing = {name: file for name, file in files.items() if not exists(file)}
    if missing:
        raise ClientError(f"no such file: {_listed(missing)}")
    secret = password if isinstance(password, KeyPassword) else KeyPassword(password)
    try:
        trusted = None if ca is None else load_certificates(_source(ca), secret)
        own = (
            None
            if cert is None
            else load_credentials(_source(cert), None if key is None else _source(key), secret)
        )
        return client_context(own, trusted)
    except CertificateError as error:
        listed = f" ({_listed(files)})" if files else ""
        what = "certificate files" if files else "certificates"
        raise ClientError(f"cannot use these {what}{listed}: {error}") from None


def _contents(source: Certificates | None) -> Certificates | None:
    """PEM text, as it comes from an environment variable or a database, in place of a file."""
    return source.encode() if isinstance(source, str) and _PEM in source else source


def _source(source: Certificates) -> Path | bytes:
    return source if isinstance(source, bytes) else Path(source)


def _listed(files: Mapping[str, File]) -> str:
    return ", ".join(f"{name} {_shown(fspath(file))}" for name, file in files.items())


def _shown(file: str) -> str:
    """The name of a file; but not what may be a key that was given in its place."""
    return file if len(file) <= _LONGEST_NAME else f"(a name of {len(file)} characters)"
