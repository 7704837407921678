"""Every key that something on a host refers to, so that no key in use is called unused.

Ids are read from the files themselves, whatever their state: machines that no inventory has, disks that
were removed, copies and migrations that are not complete, and operations that were interrupted.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kmipkit_vsphere.calls.host import KeyReference, ReferenceKind
from kmipkit_vsphere.host.core_dumps import CoreDumps
from kmipkit_vsphere.host.crypto import CryptoManagerHost
from kmipkit_vsphere.host.descriptor import LOCATOR_SETTING, Descriptor
from kmipkit_vsphere.host.journal import Entry
from kmipkit_vsphere.host.layers import PARENT_SETTING
from kmipkit_vsphere.host.vsan import VsanEncryption
from kmipkit_vsphere.model.encoding import decode
from kmipkit_vsphere.model.errors import VSphereError
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.model.locator import KeyLocator

_DESCRIPTORS: Final = (".vmx", ".vmdk", ".vmsn", ".vsan", ".new")
_JOURNAL: Final = ".progress"
_ENDS: Final = ("-flat.vmdk", "-delta.vmdk", ".data")


def find(
    datastore: Path, vsan: Path, dumps: CoreDumps, crypto: CryptoManagerHost, group: VsanEncryption
) -> list[KeyReference]:
    """All references on a host, each once."""
    references = [
        *_in_folders(datastore),
        *(KeyReference(key, ReferenceKind.VSAN, "disk group") for key in _in_files(vsan)),
        *_in_dumps(dumps),
    ]
    if crypto.host_key_id is not None:
        references.append(KeyReference(crypto.host_key_id, ReferenceKind.HOST_KEY, "host key"))
    config = group.config()
    if config is not None:
        references.append(KeyReference(config.key_id, ReferenceKind.VSAN, "disk group"))
    unique = {(item.key_id, item.kind, item.name): item for item in references}
    return list(unique.values())


def _in_folders(datastore: Path) -> Iterator[KeyReference]:
    for folder in sorted(datastore.iterdir()):
        if folder.is_dir():
            vmx = next((path.stem for path in sorted(folder.glob("*.vmx"))), folder.name)
            for key_id in (*_in_files(folder), *_below_clones(folder)):
                yield KeyReference(key_id, ReferenceKind.MACHINE, vmx)


def _below_clones(folder: Path) -> Iterator[CryptoKeyId]:
    """The keys of the layers of other machines on which a linked clone stands."""
    waiting = [path for path in sorted(folder.glob("*.vmdk")) if not path.name.endswith(_ENDS)]
    seen = set(waiting)
    for path in waiting:
        hint = _setting(path, PARENT_SETTING)
        below = folder.parent / hint.removeprefix("../") if "/" in hint else path.parent / hint
        if not hint or below in seen:
            continue
        seen.add(below)
        waiting.append(below)
        yield from _keys(_setting(below, LOCATOR_SETTING))


def _in_dumps(dumps: CoreDumps) -> Iterator[KeyReference]:
    for dump in dumps.all():
        if dump.key_id is not None:
            yield KeyReference(dump.key_id, ReferenceKind.CORE_DUMP, f"core dump {dump.file}")


def _in_files(folder: Path) -> Iterator[CryptoKeyId]:
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        name = path.name.removesuffix(".new")
        is_data = name.endswith(_ENDS)
        if path.suffix == _JOURNAL:
            yield from _keys(_journal_locator(path))
        elif path.suffix in _DESCRIPTORS and not is_data:
            yield from _keys(_setting(path, LOCATOR_SETTING))


def _journal_locator(path: Path) -> str:
    # The journal alone, without regard to its source: it may be of an operation that begins anew.
    try:
        return decode(path.read_bytes(), Entry).locator
    except (OSError, VSphereError):
        return ""


def _setting(path: Path, name: str) -> str:
    try:
        return Descriptor.load(path).get(name) or ""
    except VSphereError:
        return ""


def _keys(locator: str) -> list[CryptoKeyId]:
    try:
        return [locked.key_id for locked in KeyLocator.parse(locator).locked()] if locator else []
    except VSphereError:
        return []
