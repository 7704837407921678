"""How each ``CryptoSpec`` kind is applied to a volume (vsphere.md §2.3).

:data:`OPERATIONS` is the one table: what the machine must be like, and what is done to a volume.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from kmipkit_vsphere.host.disk import Progress
from kmipkit_vsphere.host.volume import Keys, NewKey, Volume
from kmipkit_vsphere.model.crypto_spec import CryptoSpecKind


class Operation(NamedTuple):
    """How a kind is applied to one volume, and what it requires of the machine."""

    applies: Callable[[Volume, NewKey | None], bool]
    """Whether there is work to do; false for a volume that an interrupted call has finished."""
    run: Callable[[Volume, Keys, NewKey | None, str, Progress | None], None]
    needs_power_off: bool
    needs_new_key: bool
    is_for_encrypted: bool


def _is_locked_by_other(volume: Volume, new: NewKey | None) -> bool:
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


def _recrypt_shallow(
    volume: Volume, keys: Keys, new: NewKey | None, _machine: str, _progress: Progress | None
) -> None:
    assert new is not None
    volume.recrypt_shallow(keys, new)


def _recrypt_deep(
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
        CryptoSpecKind.SHALLOW_RECRYPT: Operation(
            _is_locked_by_other, _recrypt_shallow, False, True, True
        ),
        CryptoSpecKind.DEEP_RECRYPT: Operation(
            _is_locked_by_other, _recrypt_deep, True, True, True
        ),
    }
)
