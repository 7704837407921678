"""Reading a database without serving it, also while a server does: for commands."""

import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Self

from kmipkit.errors import KMIPError
from kmipkit_server.store.base import StoreError
from kmipkit_server.store.integrity import Integrity
from kmipkit_server.store.sealing import KeyWrapper, Sealer
from kmipkit_server.store.sqlite import schema
from kmipkit_server.store.sqlite.database import connect_to_read, has_content
from kmipkit_server.store.sqlite.summary import read_integrity_key
from kmipkit_server.store.sqlite.views import SQLiteReader, sqlite_errors


class OfflineStore:
    """A database as a command sees it. It takes no lock, and changes nothing."""

    def __init__(self, connection: sqlite3.Connection, key_wrapper: KeyWrapper, name: str) -> None:
        """Use :meth:`open`."""
        with sqlite_errors(name):
            version = schema.version_of(connection)
            if not schema.FIRST_PROTECTED <= version <= len(schema.STEPS):
                raise StoreError(
                    f"{name} was written by another version of kmipkit; start its server once, or use"
                    " the version that it was written with"
                )
            try:
                key = key_wrapper.unwrap(read_integrity_key(connection, name))
            except StoreError:
                raise
            except KMIPError as error:
                raise StoreError(str(error)) from error
        self._connection = connection
        self._integrity = Integrity(key)
        sealer = Sealer(key_wrapper, _no_random, _no_key, _no_new_key)
        self.reader = SQLiteReader(connection, sealer, self._integrity, name)
        """A view of the committed state, without key material."""

    @classmethod
    def open(cls, path: Path, key_wrapper: KeyWrapper) -> Self:
        """Open the database of a server. StoreError if there is none, or the root key is another."""
        if not has_content(path):
            raise StoreError(f"{path} does not exist; is this the data directory of a server?")
        with sqlite_errors(str(path)):
            connection = connect_to_read(path)
        try:
            return cls(connection, key_wrapper, str(path))
        except BaseException:  # of any kind: it is raised again
            connection.close()
            raise

    def derive_key(self, purpose: str) -> bytes:
        """The key that the server derives for a purpose."""
        return self._integrity.derive_key(purpose)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()


def _no_random(_count: int) -> bytes:
    raise StoreError("a command does not seal objects")


def _no_key(_number: int) -> bytes:
    raise StoreError("a command does not open key material")


def _no_new_key(_wrapped: bytes) -> int:
    raise StoreError("a command does not seal objects")
