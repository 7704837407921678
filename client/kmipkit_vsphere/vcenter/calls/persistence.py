"""Key persistence: hosts with a TPM store keys for a reboot without vCenter (vsphere.md §2.8)."""

from typing import Final

from kmipkit_vsphere.model.message import Message, Text
from kmipkit_vsphere.vcenter.calls.arguments import HOST, NAME
from kmipkit_vsphere.vcenter.command import CLUSTER, Argument, Row, VCenterQuery, VCenterRequest
from kmipkit_vsphere.vcenter.command import HOST as ON_HOST
from kmipkit_vsphere.vcenter.privileges import Privilege

Problems = dict[str, str | None]
"""Host to what went wrong, None if nothing did."""


class SetKeyPersistence(VCenterRequest[None]):
    """Enable key persistence on a host, or disable it and remove its stored keys."""

    host: Text
    enable: bool = False
    remove_all_stored_keys: bool = False


class SetClusterKeyPersistence(VCenterRequest[Problems]):
    """Enable or disable key persistence on a cluster, also for hosts that join it later."""

    name: Text
    enable: bool = False
    remove_all_stored_keys: bool = False


class KeyPersistenceStatus(Message, omit_defaults=True):
    """Whether a host stores keys, and how many; ``problem`` if that is not known."""

    enabled: bool | None = None
    stored_keys: int | None = None
    has_tpm: bool | None = None
    problem: str | None = None


class ListKeyPersistence(VCenterQuery[dict[str, KeyPersistenceStatus]]):
    """Show which hosts store keys, and how many."""


_ENABLE = Argument("--enable", "enable", bool)
_REMOVE = Argument(
    "--remove-all-stored-keys",
    "removeAllStoredKeys",
    bool,
    help="Confirms that the stored keys are removed.",
)

ROWS: Final = (
    Row(
        SetKeyPersistence,
        Privilege.REGISTER_HOST,
        ON_HOST,
        "key-persistence",
        (HOST, _ENABLE, _REMOVE),
        "key-persistence esx01 --enable",
        records=True,
    ),
    Row(
        SetClusterKeyPersistence,
        Privilege.REGISTER_HOST,
        CLUSTER,
        "cluster-key-persistence",
        (NAME, _ENABLE, _REMOVE),
        "cluster-key-persistence production --enable",
        records=True,
    ),
    Row(ListKeyPersistence, Privilege.VIEW, command="key-persistence-status"),
)
