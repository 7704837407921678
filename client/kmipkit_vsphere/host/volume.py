"""A volume: one data file, and beside it the text file whose locator opens it.

Machines have two kinds, one code: the home (``.vmx`` beside ``.nvram``) and each disk (``.vmdk``
beside ``-flat.vmdk``). Encrypting, decrypting and re-encrypting replace both files, and a crash may
come between any two steps, so the order is fixed:

1. a journal is written, then the new data beside the data file, both durable up to checkpoints;
2. the new descriptor, with the locked data key, is written beside the descriptor, durably;
3. the data file gets the name ``.old``, the new data the data file's name;
4. what was plain text is overwritten with zeros and ``.old`` is removed;
5. the new descriptor takes the descriptor's name, and the journal is removed.

Up to 2 nothing has happened; the call, repeated, goes on where the journal says. From 2 on
:meth:`Volume.recover` goes on to the end. So there is at no time ciphertext whose key is lost, nor
plain text under the name of a machine that counts as encrypted. Zeros over the old blocks are best
effort: a copy-on-write file system or a flash disk may keep them.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kmipkit_vsphere.host.descriptor import LOCATOR_SETTING, Descriptor
from kmipkit_vsphere.host.disk import (
    DiskFile,
    PlainText,
    Progress,
    SectorCipher,
    full,
    overwrite,
    recipher,
)
from kmipkit_vsphere.host.journal import Journal
from kmipkit_vsphere.model import bundle
from kmipkit_vsphere.model.errors import DamagedData, EncryptionKeyRequired, InvalidState, NoSpace
from kmipkit_vsphere.model.files import partly_written, sync_folder, write_durably
from kmipkit_vsphere.model.keys import DEK_SIZE, CryptoKeyId, Secret
from kmipkit_vsphere.model.locator import KeyLocator, Locked

Keys = Mapping[CryptoKeyId, Secret]


@dataclass(frozen=True, slots=True)
class NewKey:
    """The key-encryption key that shall lock a volume, and the machine it is bound to."""

    kek: Secret
    key_id: CryptoKeyId
    machine_id: str


@dataclass(frozen=True, slots=True)
class Volume:
    """The two files, and their use (``home``, ``disk``…), to which the locked key is bound."""

    descriptor: Path
    data: Path
    use: str

    @property
    def _new_descriptor(self) -> Path:
        return self.descriptor.with_name(self.descriptor.name + ".new")

    @property
    def _new_data(self) -> Path:
        return self.data.with_name(self.data.name + ".new")

    @property
    def _old_data(self) -> Path:
        return self.data.with_name(self.data.name + ".old")

    @property
    def _journal(self) -> Path:
        return self.descriptor.with_name(self.descriptor.name + ".progress")

    # What it is ----------------------------------------------------------------------------------

    def key_ids(self) -> list[CryptoKeyId]:
        """The keys any of which opens the volume; empty for a plain one."""
        return [locked.key_id for locked in self._locked()]

    def pending_key_ids(self) -> list[CryptoKeyId]:
        """The keys that a rewriting which stopped half way needs to go on."""
        journal = Journal.load(self._journal, self.data)
        if journal is None or not journal.locator:
            return []
        return [one.key_id for one in KeyLocator.parse(journal.locator).locked()]

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

    # Changing it ---------------------------------------------------------------------------------

    def encrypt(self, new: NewKey, progress: Progress | None = None) -> None:
        """Encrypt the plain data under a new data key that ``new`` locks; durable on return.

        Raises :class:`InvalidState` for an encrypted volume; whatever is raised, the volume is as
        it was, or is completed by :meth:`recover`.
        """
        if self.is_encrypted():
            raise InvalidState(f"{self.descriptor} is encrypted already")
        self._under_new_key(PlainText(self.sector_size()), new, progress)

    def recrypt_deep(self, keys: Keys, new: NewKey, progress: Progress | None = None) -> None:
        """Re-encrypt all data under a new data key that ``new`` locks; as :meth:`encrypt`."""
        dek = self.data_key(keys, new.machine_id)
        try:
            self._under_new_key(SectorCipher(dek, self.sector_size()), new, progress)
        finally:
            dek.erase()

    def _under_new_key(
        self, old: SectorCipher | PlainText, new: NewKey, progress: Progress | None
    ) -> None:
        journal, dek = self._begin(new)
        try:
            self._rewrite(old, SectorCipher(dek, self.sector_size()), journal, progress)
        finally:
            dek.erase()

    def _begin(self, new: NewKey) -> tuple[Journal, Secret]:
        """The journal and data key of what was begun with this key, or of a new beginning."""
        journal = Journal.load(self._journal, self.data)
        if journal is not None and journal.locator and self._new_data.exists():
            for locked in KeyLocator.parse(journal.locator).locked():
                if locked.key_id == new.key_id:
                    with contextlib.suppress(DamagedData):
                        return journal, self._unlock(new.kek, locked, new.machine_id)
        self._drop()
        dek = Secret.random(DEK_SIZE)
        return Journal.of(self._journal, self._lock(dek, new), self.data).save(), dek

    def _lock(self, dek: Secret, new: NewKey) -> str:
        blob = bundle.lock(new.kek, dek, new.key_id, new.machine_id, self.use)
        return str(KeyLocator.locked_by(new.key_id, blob))

    def decrypt(self, keys: Keys, machine_id: str, progress: Progress | None = None) -> None:
        """Write the plain text back and forget the data key; durable on return.

        What was written is overwritten where this fails, so that no plain text is left behind.
        """
        dek = self.data_key(keys, machine_id)
        try:
            old = SectorCipher(dek, self.sector_size())
            self._drop()
            journal = Journal.of(self._journal, "", self.data).save()
            self._rewrite(old, PlainText(self.sector_size()), journal, progress)
        except Exception:
            if not self._new_descriptor.exists():
                self._drop()
            raise
        finally:
            dek.erase()

    def recrypt_shallow(self, keys: Keys, new: NewKey) -> None:
        """Lock the same data key with another key-encryption key; the data stays as it is."""
        dek = self.data_key(keys, new.machine_id)
        try:
            self.relock(dek, new)
        finally:
            dek.erase()

    def relock(self, dek: Secret, new: NewKey) -> None:
        """Put a new locator into the descriptor; one atomic change of a file."""
        self._drop()  # a copy that was begun is bound to what this replaces
        changed = Descriptor.load(self.descriptor).with_setting(
            LOCATOR_SETTING, self._lock(dek, new)
        )
        self._write(self.descriptor, str(changed))

    def _rewrite(
        self,
        old: SectorCipher | PlainText,
        new: SectorCipher | PlainText,
        journal: Journal,
        progress: Progress | None,
    ) -> None:
        """Steps 1 and 2, then the rest."""
        try:
            recipher(
                self.data,
                self._new_data,
                old,
                new,
                start=journal.done,
                progress=progress,
                checkpoint=journal.save,
            )
            sync_folder(self.data.parent)
            descriptor = Descriptor.load(self.descriptor)
            changed = (
                descriptor.with_setting(LOCATOR_SETTING, journal.locator)
                if journal.locator
                else descriptor.without_setting(LOCATOR_SETTING)
            )
            self._write(self._new_descriptor, str(changed))
        except NoSpace:
            self._drop()  # give back the room that the copy takes
            raise
        self._complete()

    def _write(self, path: Path, text: str) -> None:
        try:
            write_durably(path, text)
        except OSError as error:
            raise full(error, path) from None

    def _complete(self) -> None:
        """Steps 3 to 5, from wherever they stopped."""
        if self._new_data.exists():
            if self.data.exists():
                self.data.replace(self._old_data)
            self._new_data.replace(self.data)
            sync_folder(self.data.parent)
        if self._old_data.exists():
            if not self.is_encrypted():
                overwrite(self._old_data)
            self._old_data.unlink()
        self._new_descriptor.replace(self.descriptor)
        self._journal.unlink(missing_ok=True)
        sync_folder(self.descriptor.parent)

    def _drop(self) -> None:
        """Take back what was begun; plain text in it is overwritten."""
        if self._new_data.exists():
            if self.is_encrypted():  # the copy may be of a decryption
                overwrite(self._new_data)
            self._new_data.unlink()
        self._journal.unlink(missing_ok=True)

    def recover(self) -> None:
        """Bring what a crash interrupted to its end, or to where the call can be repeated."""
        for path in (self.descriptor, self._new_descriptor, self._journal):
            partly_written(path).unlink(missing_ok=True)
        if self._new_descriptor.exists():
            self._complete()
            return
        journal = Journal.load(self._journal, self.data)
        if journal is None or not journal.locator:
            self._drop()

    # Opening it ----------------------------------------------------------------------------------

    def open(self, keys: Keys, machine_id: str) -> DiskFile:
        """Open the data, unlocked with whichever key is there; a plain volume as it is.

        A file of another size than the descriptor says is damaged.

        Raises :class:`EncryptionKeyRequired` with the missing keys, and :class:`DamagedData` where
        a key does not open the bundle.
        """
        if not self.is_encrypted():
            return self._opened(PlainText(self.sector_size()))
        dek = self.data_key(keys, machine_id)
        try:
            return self._opened(SectorCipher(dek, self.sector_size()))
        finally:
            dek.erase()

    def _opened(self, cipher: SectorCipher | PlainText) -> DiskFile:
        file = DiskFile(self.data, cipher)
        extents = Descriptor.load(self.descriptor).extents()
        if extents and extents.get(self.data.name) != file.size:
            file.close()
            raise DamagedData(
                f"{self.data} has {file.size} bytes instead of {extents.get(self.data.name)}"
            )
        return file

    def data_key(self, keys: Keys, machine_id: str) -> Secret:
        """The data key, unlocked; errors as :meth:`open`. The caller erases it."""
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
        return self._unlock(keys[here[0].key_id], here[0], machine_id)

    def _unlock(self, kek: Secret, locked: Locked, machine_id: str) -> Secret:
        return bundle.unlock(kek, locked.data, locked.key_id, machine_id, self.use)
