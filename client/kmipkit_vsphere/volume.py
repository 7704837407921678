"""A volume: one data file, and beside it the text file whose locator opens it.

Machines have two kinds, one code: the home (``.vmx`` beside ``.nvram``) and each disk (``.vmdk``
beside ``-flat.vmdk``). Encrypting replaces both files, and a crash may come between any two steps,
so the order is fixed:

1. the ciphertext is written beside the data file, durably;
2. the descriptor with the locked data key is written beside the descriptor, durably;
3. the ciphertext takes the data file's name; what was there is overwritten with zeros;
4. the new descriptor takes the descriptor's name.

Up to 2 nothing has happened and :meth:`Volume.recover` drops what was begun; from 2 on it goes on
to the end. So there is at no time ciphertext whose key is lost, nor plain text under the name of a
machine that counts as encrypted. Zeros over the old blocks are best effort: a copy-on-write file
system or a flash disk may keep them.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kmipkit_vsphere import bundle
from kmipkit_vsphere.descriptor import (
    LOCATOR_SETTING,
    Descriptor,
    sync_folder,
    write_durably,
)
from kmipkit_vsphere.disk import (
    CHUNK,
    DEK_SIZE,
    DiskFile,
    PlainText,
    Progress,
    SectorCipher,
    encrypt_copy,
)
from kmipkit_vsphere.errors import DamagedData, EncryptionKeyRequired, InvalidState
from kmipkit_vsphere.keys import CryptoKeyId, Secret
from kmipkit_vsphere.locator import KeyLocator, Locked


@dataclass(frozen=True, slots=True)
class Volume:
    """The two files, and their use (``home`` or ``disk``), to which the locked key is bound."""

    descriptor: Path
    data: Path
    use: str

    @property
    def _new_descriptor(self) -> Path:
        return self.descriptor.with_name(self.descriptor.name + ".new")

    @property
    def _new_data(self) -> Path:
        return self.data.with_name(self.data.name + ".new")

    def key_ids(self) -> list[CryptoKeyId]:
        """The keys any of which opens the volume; empty for a plain one."""
        return [locked.key_id for locked in self._locked()]

    def _locked(self) -> list[Locked]:
        text = Descriptor.load(self.descriptor).get(LOCATOR_SETTING)
        return [] if text is None else list(KeyLocator.parse(text).locked())

    def is_encrypted(self) -> bool:
        """Whether the descriptor holds a key locator."""
        return Descriptor.load(self.descriptor).get(LOCATOR_SETTING) is not None

    def sector_size(self) -> int:
        """Bytes per sector, from the descriptor."""
        text = Descriptor.load(self.descriptor).get("sectorSize") or "512"
        if text not in ("512", "4096"):
            raise DamagedData(f"{self.descriptor}: sectorSize is neither 512 nor 4096")
        return int(text)

    def encrypt(
        self,
        kek: Secret,
        key_id: CryptoKeyId,
        machine_id: str,
        progress: Progress | None = None,
    ) -> None:
        """Encrypt the plain data under a new data key that ``kek`` locks; durable on return.

        Raises :class:`InvalidState` for an encrypted volume; whatever is raised, the volume is
        either as it was or is completed by :meth:`recover`.
        """
        if self.is_encrypted():
            raise InvalidState(f"{self.descriptor} is encrypted already")
        dek = Secret.random(DEK_SIZE)
        try:
            blob = bundle.lock(kek, dek, key_id, machine_id, self.use)
            encrypt_copy(self.data, self._new_data, SectorCipher(dek, self.sector_size()), progress)
        finally:
            dek.erase()
        sync_folder(self.data.parent)
        locator = str(KeyLocator.locked_by(key_id, blob))
        changed = Descriptor.load(self.descriptor).with_setting(LOCATOR_SETTING, locator)
        write_durably(self._new_descriptor, str(changed))
        self._complete()

    def _complete(self) -> None:
        """Steps 3 and 4, from wherever they stopped."""
        if self._new_data.exists():
            with self.data.open("r+b") as plain:
                self._new_data.replace(self.data)
                sync_folder(self.data.parent)
                _overwrite(plain.fileno())
        self._new_descriptor.replace(self.descriptor)
        sync_folder(self.descriptor.parent)

    def recover(self) -> None:
        """Bring an encryption that a crash interrupted to its end, or drop its beginnings."""
        if self._new_descriptor.exists():
            self._complete()
        else:
            self._new_data.unlink(missing_ok=True)

    def open(self, keys: Mapping[CryptoKeyId, Secret], machine_id: str) -> DiskFile:
        """Open the data, unlocked with whichever key is there; a plain volume as it is.

        Raises :class:`EncryptionKeyRequired` with the missing keys, and :class:`DamagedData` where
        a key does not open the bundle.
        """
        if not self.is_encrypted():
            return DiskFile(self.data, PlainText(self.sector_size()))
        locked = self._locked()
        if not locked:
            raise DamagedData(f"{self.descriptor}: no key provider is named in the key locator")
        here = [one for one in locked if one.key_id in keys]
        if not here:
            missing = [one.key_id for one in locked]
            raise EncryptionKeyRequired(
                f"{self.descriptor.name} is locked; the host lacks key "
                f"{', '.join(map(str, missing))}",
                required_key=[key.to_json() for key in missing],
            )
        dek = self._unlock(keys[here[0].key_id], here[0], machine_id)
        try:
            return DiskFile(self.data, SectorCipher(dek, self.sector_size()))
        finally:
            dek.erase()

    def _unlock(self, kek: Secret, locked: Locked, machine_id: str) -> Secret:
        return bundle.unlock(kek, locked.data, locked.key_id, machine_id, self.use)


def _overwrite(fd: int) -> None:
    size = os.fstat(fd).st_size
    zeros = bytes(CHUNK)
    for offset in range(0, size, CHUNK):
        os.pwrite(fd, zeros[: size - offset], offset)
    os.fsync(fd)
