"""Clones of a machine: full ones, and linked ones that stand on the layers of a snapshot.

A full clone has the key of its source. If the source has one layer for each disk, the clone has its data
keys as well: the data is copied as ciphertext. What is made of a snapshot, or of a disk in layers, is
written anew in one layer, under new data keys. A linked clone has a layer of its own for each disk, with
a data key of its own, and needs the layers and the keys of its parent for as long as it exists.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from uuid import UUID

from kmipkit_vsphere.calls.machines import TPMProvisionPolicy
from kmipkit_vsphere.host import layers, virtual_tpm
from kmipkit_vsphere.host.descriptor import DISK_TEMPLATE, Descriptor
from kmipkit_vsphere.host.disk import CHUNK
from kmipkit_vsphere.host.layers import Chain, OpenDisk, open_chain
from kmipkit_vsphere.host.machine import (
    TPM_SETTING,
    VMX_TEMPLATE,
    Machine,
    check_name,
    disk_files,
    new_folder,
)
from kmipkit_vsphere.host.snapshot_files import read_state
from kmipkit_vsphere.host.snapshots import Snapshot, SnapshotList
from kmipkit_vsphere.host.virtual_tpm import TPMState
from kmipkit_vsphere.host.volume import Keys, NewKey, Volume
from kmipkit_vsphere.model.files import write_durably
from kmipkit_vsphere.model.keys import CryptoKeyId

_INHERITED: Final = (
    r"(?!\.encoding|displayName|uuid\.bios|nvram|scsi0:\d+\.fileName|snapshot\d*\.|encryption\.).*"
)
"""The settings that a clone takes over: not those about its name, files and keys."""

KeyFor = Callable[[CryptoKeyId], NewKey]
"""The key-encryption key with this id, for locking data keys of the clone."""


class Cloning:
    """One clone that is to be made of a machine, or of one of its snapshots."""

    def __init__(
        self,
        source: Machine,
        name: str,
        uuid: UUID,
        keys: Keys,
        *,
        tpm: TPMProvisionPolicy = TPMProvisionPolicy.COPY,
        snapshot: Snapshot | None = None,
    ) -> None:
        check_name(name)
        source.check_whole()
        self._source = source
        self._name = name
        self._uuid = uuid
        self._keys = keys
        self._tpm = tpm
        self._snapshot = snapshot

    def full(self) -> Machine:
        """A machine that depends on no other one."""
        chains = self._chains()
        is_simple = self._snapshot is None and all(len(chain) == 1 for chain in chains.values())
        with new_folder(self._source.folder.parent, self._name) as folder:
            if is_simple:
                self._copy_files(folder)
            else:
                self._make_home(folder, self._key)
                for number, chain in chains.items():
                    self._write_flat(folder, number, chain)
            self._provision_tpm(folder)
        return Machine.load(self._source.folder.parent / self._name)

    def linked(self, new: NewKey | None = None) -> Machine:
        """A linked clone of the snapshot; its own layers have the keys of those below, or ``new``."""

        def key(key_id: CryptoKeyId) -> NewKey:
            return new or self._key(key_id)

        with new_folder(self._source.folder.parent, self._name) as folder:
            self._make_home(folder, key, lambda number: f"{self._name}-{number + 1:06d}.vmdk")
            for number, chain in self._chains().items():
                key_id = chain[0].key_id()
                layers.make_delta(
                    folder,
                    f"{self._name}-{number + 1:06d}",
                    number + 1,
                    number,
                    chain,
                    None if key_id is None else key(key_id),
                )
            self._provision_tpm(folder)
        return Machine.load(self._source.folder.parent / self._name)

    # Parts ---------------------------------------------------------------------------------------

    def _chains(self) -> dict[int, Chain]:
        if self._snapshot is None:
            return dict(self._source.chains)
        return {
            number: self._source.frozen[self._snapshot.id, number]
            for number in self._snapshot.disks
        }

    def _key(self, key_id: CryptoKeyId) -> NewKey:
        return NewKey(self._keys[key_id], key_id, str(self._uuid))

    def _provision_tpm(self, folder: Path) -> None:
        copy = Machine.load(folder, self._name)
        if copy.has_tpm and self._tpm is TPMProvisionPolicy.REPLACE:
            with copy.home.open(self._keys, copy.uuid) as home:
                virtual_tpm.erase(home)
                virtual_tpm.write(home, TPMState.new())

    def _make_home(
        self,
        folder: Path,
        key: KeyFor,
        disk_file: Callable[[int], str] | None = None,
    ) -> None:
        """The ``.vmx`` and the ``.nvram`` of the clone, from the snapshot or the present state."""
        source = self._source
        vmx = Descriptor.parse(VMX_TEMPLATE.format(name=self._name, uuid=self._uuid))
        settings = Descriptor.load(source.home.descriptor)
        for setting, value in settings.matching(_INHERITED).items():
            vmx = vmx.with_setting(setting, value)
        has_tpm = source.has_tpm if self._snapshot is None else self._snapshot.has_tpm
        vmx = vmx.with_setting(TPM_SETTING, "TRUE") if has_tpm else vmx.without_setting(TPM_SETTING)
        for number in self._chains():
            file = disk_file(number) if disk_file else f"{self._stem(number)}.vmdk"
            vmx = vmx.with_setting(f"scsi0:{number}.fileName", file)
        if disk_file:
            vmx = SnapshotList(last_layer=max(self._chains(), default=0) + 1).write(vmx)
        content = self._home_content()
        key_ids = source.home.key_ids()
        home = Volume(folder / f"{self._name}.vmx", folder / f"{self._name}.nvram", "home")
        home.create(vmx, len(content), key(key_ids[0]) if key_ids else None, (content,))

    def _home_content(self) -> bytes:
        source = self._source
        if self._snapshot is not None:
            return read_state(source, self._snapshot, self._keys).home
        with source.home.open(self._keys, source.uuid) as home:
            return home.read_at(0, home.size)

    def _stem(self, number: int) -> str:
        return f"{self._name}_{number}" if number else self._name

    def _write_flat(self, folder: Path, number: int, chain: Chain) -> None:
        """Write all that a disk in layers holds as a disk in one."""
        key_id = chain[0].key_id()
        path = folder / f"{self._stem(number)}.vmdk"
        volume = Volume(path, path.with_name(f"{path.stem}-flat.vmdk"), chain[-1].volume.use)
        disk = open_chain(chain, self._keys)
        try:
            text = DISK_TEMPLATE.format(
                sector_size=chain[0].volume.sector_size(),
                sectors=disk.size // 512,
                extent=volume.data.name,
            )
            new = None if key_id is None else self._key(key_id)
            volume.create(Descriptor.parse(text), disk.size, new, _contents(disk))
        finally:
            disk.close()

    # A machine without layers --------------------------------------------------------------------

    def _copy_files(self, folder: Path) -> None:
        """Copy all files, and lock the data keys anew: they are bound to the machine."""
        source = self._source
        volumes = (source.home, *source.disks.values())
        data_keys = {
            volume.use: (volume.key_ids()[0], volume.data_key(self._keys, source.uuid))
            for volume in volumes
            if volume.is_encrypted()
        }
        try:
            for volume in volumes:
                shutil.copyfile(volume.data, folder / self._renamed(volume.data.name))
            for volume in source.disks.values():
                target = folder / self._renamed(volume.descriptor.name)
                text = volume.descriptor.read_text()
                write_durably(
                    target,
                    text.replace(f'"{volume.data.name}"', f'"{self._renamed(volume.data.name)}"'),
                )
            self._copy_vmx(folder)
            copy = Machine.load(folder, self._name)
            for volume in copy.volumes:
                if volume.use in data_keys:
                    key_id, dek = data_keys[volume.use]
                    volume.relock(dek, self._key(key_id))
        finally:
            for _, dek in data_keys.values():
                dek.erase()

    def _copy_vmx(self, folder: Path) -> None:
        vmx = SnapshotList().write(Descriptor.load(self._source.home.descriptor))
        vmx = vmx.with_setting("nvram", self._renamed(vmx.require("nvram")))
        for number, file in disk_files(vmx).items():
            vmx = vmx.with_setting(f"scsi0:{number}.fileName", self._renamed(file))
        vmx = vmx.with_setting("displayName", self._name)
        vmx = vmx.with_setting("uuid.bios", str(self._uuid))
        write_durably(folder / f"{self._name}.vmx", str(vmx))

    def _renamed(self, file: str) -> str:
        name = self._source.name
        return self._name + file.removeprefix(name) if file.startswith(name) else file


def _contents(disk: OpenDisk) -> Iterator[bytes]:
    for offset in range(0, disk.size, CHUNK):
        yield disk.read_at(offset, min(CHUNK, disk.size - offset))
