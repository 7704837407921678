"""Rotations of the root key and of the data keys: what is stored about them, and what they may say."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from kmipkit.errors import KMIPError
from kmipkit_server.store.base import Transaction
from kmipkit_server.store.errors import Damaged
from kmipkit_server.store.root_keys import Entry, KeyWrapper

SETTING = "key rotation"
"""The name of the setting with the rotation in progress."""

Kind = Literal["root", "data"]


class Rotation(msgspec.Struct, frozen=True):
    """A rotation in progress, as the database has it."""

    kind: Kind
    target: int
    """The number of the new root key; or that of the newest data key that is replaced."""
    total: int
    """How many data keys are to be wrapped, or objects to be sealed, again."""
    started: datetime
    account: str
    """Who has asked for it."""


class RootKeyName(NamedTuple):
    """Which root key is in use."""

    kind: str
    identifier: str


class RootKeyFigures(NamedTuple):
    """A root key that a database needs."""

    number: int
    entry: Entry
    data_keys: int
    """How many data keys depend on it."""


class KeyFigures(NamedTuple):
    """The keys of a database, in numbers."""

    root_keys: tuple[RootKeyFigures, ...]
    data_keys: int
    sealed: int
    """Objects, and entries of the server's own, that are sealed with data keys."""
    rotation: Rotation | None
    remaining: int
    """What is left to do of the rotation."""


class RotationRefused(KMIPError):
    """A rotation cannot begin now; the text says why, and what to do."""


class Prepared(NamedTuple):
    """What a rotation of the root key will store; computed before its transaction, since a token is
    slow."""

    number: int
    vault: KeyWrapper
    entries: Mapping[int, Entry]
    store_keys: Mapping[int, bytes]
    is_known: bool
    """Whether the database has this root key already, because a rotation to or from it has not ended."""


class Position(NamedTuple):
    """Up to where objects were sealed again: in the order of their data keys, and then of their
    numbers."""

    data_key: int = 0
    seq: int = 0


class Step(NamedTuple):
    """What a part of a rotation has done."""

    rotation: Rotation | None
    """None if there is none in progress."""
    is_last: bool = False
    done: int = 0
    """Data keys that it has wrapped, or objects that it has sealed, again."""
    damaged: int = 0
    """Objects so far that cannot be sealed again, since they were changed in the database."""
    position: Position = Position()


class _Settings(Protocol):
    def setting(self, name: str) -> bytes | None: ...


def rotation_of(reader: _Settings) -> Rotation | None:
    """The rotation in progress; None if there is none, or if it was changed by another program."""
    try:
        value = reader.setting(SETTING)
        return None if value is None else msgspec.json.decode(value, type=Rotation)
    except (Damaged, msgspec.MsgspecError):
        return None  # it can be asked for again


def store_rotation(transaction: Transaction, rotation: Rotation | None) -> None:
    """Store the rotation in progress; None when it has ended."""
    value = None if rotation is None else msgspec.json.encode(rotation)
    transaction.set_setting(SETTING, value)


class Rotations(Protocol):
    """How a store carries out rotations. Those with a transaction are called in one.

    A rotation is prepared, begun, carried out in steps, each in a transaction of its own, and finished.
    """

    @property
    def root_key(self) -> RootKeyName:
        """The root key on which new data keys depend."""

    def prepare(self, view: Any, vault: KeyWrapper) -> Prepared:
        """Wrap the keys with a new root key; in a thread, as it may take long. KMIPError if that
        fails."""

    def begin_root(
        self, transaction: Any, prepared: Prepared, now: datetime, account: str
    ) -> Rotation:
        """Begin a rotation of the root key, or turn round the one in progress. RotationRefused if
        not."""

    def root_began(self, prepared: Prepared) -> None:
        """After the commit of :meth:`begin_root`."""

    def begin_data(self, transaction: Any, now: datetime, account: str) -> Rotation:
        """Begin a rotation of the data keys. RotationRefused if another one is in progress."""

    def step(self, transaction: Any) -> Step:
        """Carry out a part of the rotation in progress."""

    def stepped(self, step: Step) -> None:
        """After the commit of :meth:`step`."""

    def require_target(self, view: Any, rotation: Rotation) -> str:
        """Where the new root key is, if any. StoreError if it cannot be opened; in a thread."""

    def finish(self, transaction: Any, rotation: Rotation) -> bool:
        """End a rotation, if nothing is left to do; whether it has ended."""

    def finished(self, rotation: Rotation) -> None:
        """After the commit of :meth:`finish`."""
