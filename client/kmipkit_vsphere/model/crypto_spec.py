"""What can be done with the encryption of a machine: the ``CryptoSpec`` kinds of vsphere.md §2.3.

:data:`OPERATIONS` is the one table: what the machine must be like, and what is done to a volume.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from kmipkit_vsphere.host.disk import Progress
from kmipkit_vsphere.host.volume import Keys, NewKey, Volume


class CryptoSpecKind(StrEnum):
    """``CryptoSpec`` of the vSphere API; Register and NoOp change no file and are not here."""

    ENCRYPT = "Encrypt"
    DECRYPT = "Decrypt"
    SHALLOW_RECRYPT = "ShallowRecrypt"
    DEEP_RECRYPT = "DeepRecrypt"


class Operation(NamedTuple):
    """How a kind is done to one volume."""

    applies: Callable[[Volume, NewKey | None], bool]
    """Whether there is something to do; false for what an interrupted call has done already."""
    run: Callable[[Volume, Keys, NewKey | None, str, Progress | None], None]
    needs_power_off: bool
    needs_new_key: bool
    is_for_encrypted: bool


def _locked_by_other(volume: Volume, new: NewKey | None) -> bool:
    return volume.is_encrypted() and new is not None and volume.key_ids() != [new.key_id]


def _encrypt(
    volume: Volume, _keys: Keys, new: NewKey | None, _machine: str, progress: Progress | None
) -> None:
    assert new is not None
    volume.encrypt(new, progress)


def _decrypt(
    volume: Volume, keys: Keys, _new: NewKey | None, machine: str, progress: Progress | None
) -> None:
    volume.decrypt(keys, machine, progress)


def _shallow(
    volume: Volume, keys: Keys, new: NewKey | None, _machine: str, _progress: Progress | None
) -> None:
    assert new is not None
    volume.recrypt_shallow(keys, new)


def _deep(
    volume: Volume, keys: Keys, new: NewKey | None, _machine: str, progress: Progress | None
) -> None:
    assert new is not None
    volume.recrypt_deep(keys, new, progress)


OPERATIONS: Mapping[CryptoSpecKind, Operation] = MappingProxyType(
    {
        CryptoSpecKind.ENCRYPT: Operation(
            lambda volume, _: not volume.is_encrypted(), _encrypt, True, True, False
        ),
        CryptoSpecKind.DECRYPT: Operation(
            lambda volume, _: volume.is_encrypted(), _decrypt, True, False, True
        ),
        CryptoSpecKind.SHALLOW_RECRYPT: Operation(_locked_by_other, _shallow, False, True, True),
        CryptoSpecKind.DEEP_RECRYPT: Operation(_locked_by_other, _deep, True, True, True),
    }
)
