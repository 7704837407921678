"""A volume: one data file, and beside it the text file whose key locator opens it.

Machines have two kinds of them, served by the same code: the home (``.vmx`` beside ``.nvram``) and
each disk (``.vmdk`` beside ``-flat.vmdk``). Encrypting, decrypting and re-encrypting replace both
files, and a crash may come between any two steps, so the order is fixed:

1. a journal is written, then the new data beside the data file, durably up to each checkpoint;
2. the new descriptor, with the locked data key, is written beside the descriptor, durably;
3. the data file is renamed to ``.old``, and the new data to the data file's name;
4. if the old data is plain text it is overwritten with zeros, and ``.old`` is removed;
5. the new descriptor is renamed to the descriptor's name, and the journal is removed.

Step 2 is the commit. Before it nothing has changed; the call, repeated, continues where the journal
says. After it, :meth:`Volume.recover` completes the rest. So at no time is there ciphertext whose key
is lost, or plain text under the name of a machine that counts as encrypted. Zeros over the old blocks
are best effort: a copy-on-write file system or a flash disk may still have them.
"""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kmipkit_vsphere.host.descriptor import LOCATOR_SETTING, Descriptor
from kmipkit_vsphere.host.disk import (
    DiskFile,
    PlainText,
    Progress,
    SectorCipher,
    as_fault,
    overwrite,
    reencrypt,
)
from kmipkit_vsphere.host.journal import Journal
from kmipkit_vsphere.model import bundle
from kmipkit_vsphere.model.errors import (
    DamagedData,
    EncryptionKeyRequired,
    InvalidState,
    NoSpace,
    VSphereError,
)
from kmipkit_vsphere.model.files import partly_written, sync_folder, write_durably
from kmipkit_vsphere.model.keys import DEK_SIZE, CryptoKeyId, Secret
from kmipkit_vsphere.model.locator import KeyLocator, Locked

Keys = Mapping[CryptoKeyId, Secret]


@dataclass(frozen=True, slots=True)
class NewKey:
    """The key-encryption key for a volume, and the machine to which the locked key is bound."""

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
        """The keys that an interrupted operation needs to continue."""
        journal = Journal.load(self._journal, self.data)
        if journal is None or not journal.locator:
            return []
        return [locked.key_id for locked in KeyLocator.parse(journal.locator).locked()]

    def _locked(self) -> list[Locked]:
        text = Descriptor.load(self.descriptor).get(LOCATOR_SETTING)
        return [] if text is None else list(KeyLocator.parse(text).locked())

    def is_encrypted(self) -> bool:
        """Whether the descriptor holds a key locator."""
        return Descriptor.load(self.descriptor).get(LOCATOR_SETTING) is not None

    def sector_size(self) -> int:
        """Bytes per sector, from the descriptor."""
        try:
            return _sector_size(Descriptor.load(self.descriptor))
        except DamagedData as damage:
            raise DamagedData(f"{self.descriptor}: {damage.message}") from None

    # Making it -----------------------------------------------------------------------------------

    def create(
        self,
        descriptor: Descriptor,
        size: int,
        new: NewKey | None = None,
        content: Iterable[bytes] = (),
    ) -> None:
        """Make both files, the descriptor last; durable on return.

        The data begins with ``content`` and goes on with holes up to ``size``: an encrypted volume
        must never read those. With ``new`` the data is encrypted under a data key of its own.
        """
        dek = None if new is None else Secret.random(DEK_SIZE)
        try:
            self._create_data(self.data, size, _cipher(descriptor, dek), content)
            if new is not None and dek is not None:
                descriptor = descriptor.with_setting(LOCATOR_SETTING, self._lock(dek, new))
        finally:
            if dek is not None:
                dek.erase()
        self._write(self.descriptor, str(descriptor))

    def copy_data(self, path: Path, content: bytes, keys: Keys, machine_id: str) -> None:
        """Make another data file for this volume, under the same data key; durable on return."""
        descriptor = Descriptor.load(self.descriptor)
        dek = self.data_key(keys, machine_id) if self.is_encrypted() else None
        try:
            self._create_data(path, len(content), _cipher(descriptor, dek), (content,))
        finally:
            if dek is not None:
                dek.erase()

    def _create_data(
        self,
        path: Path,
        size: int,
        cipher: SectorCipher | PlainText,
        content: Iterable[bytes],
    ) -> None:
        try:
            with path.open("xb") as file:
                file.truncate(size)
            with DiskFile(path, cipher) as data:
                offset = 0
                for part in content:
                    data.write_at(offset, part)
                    offset += len(part)
                data.flush()
            sync_folder(path.parent)
        except OSError as error:
            raise as_fault(error, path) from None

    # Changing it ---------------------------------------------------------------------------------

    def encrypt(self, new: NewKey, progress: Progress | None = None) -> None:
        """Encrypt the plain data under a new data key that ``new`` locks; durable on return.

        Raises :class:`InvalidState` for an encrypted volume. After any error the volume is
        unchanged, or :meth:`recover` completes the operation.
        """
        if self.is_encrypted():
            raise InvalidState(f"{self.descriptor} is encrypted already")
        self._under_new_key(PlainText(self.sector_size()), new, progress)

    def recrypt_deep(self, keys: Keys, new: NewKey, progress: Progress | None = None) -> None:
        """Re-encrypt all data under a new data key that ``new`` locks; errors as :meth:`encrypt`."""
        dek = self.data_key(keys, new.machine_id)
        try:
            self._under_new_key(SectorCipher(dek, self.sector_size()), new, progress)
        finally:
            dek.erase()

    def _under_new_key(
        self, old: SectorCipher | PlainText, new: NewKey, progress: Progress | None
    ) -> None:
        journal, dek = self._resume_or_begin(new)
        try:
            self._rewrite(old, SectorCipher(dek, self.sector_size()), journal, progress)
        finally:
            dek.erase()

    def _resume_or_begin(self, new: NewKey) -> tuple[Journal, Secret]:
        """The journal and data key of an interrupted operation with this key, or of a new one."""
        journal = Journal.load(self._journal, self.data)
        if journal is not None and journal.locator and self._new_data.exists():
            for locked in KeyLocator.parse(journal.locator).locked():
                if locked.key_id == new.key_id:
                    # The part that exists is encrypted under the journal's data key: continue with
                    # this one. A journal that does not open is worthless, and its copy with it.
                    with contextlib.suppress(DamagedData):
                        return journal, self._unlock(new.kek, locked, new.machine_id)
        self._roll_back()
        dek = Secret.random(DEK_SIZE)
        # The locked key is durable before the first byte that it encrypts.
        return Journal.of(self._journal, self._lock(dek, new), self.data).save(), dek

    def _lock(self, dek: Secret, new: NewKey) -> str:
        blob = bundle.lock(new.kek, dek, new.key_id, new.machine_id, self.use)
        return str(KeyLocator.locked_by(new.key_id, blob))

    def decrypt(self, keys: Keys, machine_id: str, progress: Progress | None = None) -> None:
        """Write the plain text back and drop the data key; durable on return.

        If this fails, the plain text written so far is overwritten.
        """
        dek = self.data_key(keys, machine_id)
        try:
            old = SectorCipher(dek, self.sector_size())
            self._roll_back()
            # Without a locator: a decryption never resumes, so that recover() removes its plain text.
            journal = Journal.of(self._journal, "", self.data).save()
            self._rewrite(old, PlainText(self.sector_size()), journal, progress)
        except (OSError, ValueError, VSphereError):
            if not self._new_descriptor.exists():  # not committed
                self._roll_back()
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
        """Write a new locator into the descriptor: one atomic change of a file."""
        self._roll_back()  # an interrupted copy is bound to the locator that this replaces
        changed = Descriptor.load(self.descriptor).with_setting(
            LOCATOR_SETTING, self._lock(dek, new)
        )
        self._write(self.descriptor, str(changed))

    def change_setting(self, name: str, value: str) -> None:
        """Change a setting of the descriptor, durably."""
        self._write(
            self.descriptor, str(Descriptor.load(self.descriptor).with_setting(name, value))
        )

    def _rewrite(
        self,
        old: SectorCipher | PlainText,
        new: SectorCipher | PlainText,
        journal: Journal,
        progress: Progress | None,
    ) -> None:
        """Steps 1 and 2, then :meth:`_complete`."""
        try:
            reencrypt(
                self.data,
                self._new_data,
                old,
                new,
                start=journal.done,
                progress=progress,
                checkpoint=journal.save,
            )
            sync_folder(self.data.parent)  # the new data's name, before the descriptor commits it
            descriptor = Descriptor.load(self.descriptor)
            changed = (
                descriptor.with_setting(LOCATOR_SETTING, journal.locator)
                if journal.locator
                else descriptor.without_setting(LOCATOR_SETTING)
            )
            self._write(self._new_descriptor, str(changed))
        except NoSpace:
            self._roll_back()  # free the space that the copy takes
            raise
        self._complete()

    def _write(self, path: Path, text: str) -> None:
        try:
            write_durably(path, text)
        except OSError as error:
            raise as_fault(error, path) from None

    def _complete(self) -> None:
        """Steps 3 to 5, from wherever they stopped. Each check says whether a step is still due."""
        if self._new_data.exists():
            # A crash between both renames leaves no data file, only the old and the new one.
            if self.data.exists():
                self.data.replace(self._old_data)
            self._new_data.replace(self.data)
            sync_folder(self.data.parent)
        if self._old_data.exists():
            # The descriptor is still the old one: it says whether the old data is plain text.
            if not self.is_encrypted():
                overwrite(self._old_data)
            self._old_data.unlink()
        self._new_descriptor.replace(self.descriptor)
        self._journal.unlink(missing_ok=True)
        sync_folder(self.descriptor.parent)

    def _roll_back(self) -> None:
        """Undo an operation before its commit; plain text in the copy is overwritten."""
        if self._new_data.exists():
            if self.is_encrypted():  # the copy may be of a decryption
                overwrite(self._new_data)
            self._new_data.unlink()
        self._journal.unlink(missing_ok=True)

    def recover(self) -> None:
        """After a crash: complete a committed operation, and roll back one that cannot resume.

        The copy of an encryption that can resume stays where it is.
        """
        for path in (self.descriptor, self._new_descriptor, self._journal):
            partly_written(path).unlink(missing_ok=True)
        if self._new_descriptor.exists():
            self._complete()
            return
        journal = Journal.load(self._journal, self.data)
        if journal is None or not journal.locator:
            self._roll_back()

    # Opening it ----------------------------------------------------------------------------------

    def open(self, keys: Keys, machine_id: str) -> DiskFile:
        """Open the data, with any of its keys that is available; a plain volume without a key.

        Raises :class:`EncryptionKeyRequired` with the missing keys, and :class:`DamagedData` if a
        key does not open the bundle, or the file has another size than the descriptor says.
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
            raise DamagedData(f"{self.descriptor}: the key locator names no key provider")
        available = [candidate for candidate in locked if candidate.key_id in keys]
        if not available:
            missing = [candidate.key_id for candidate in locked]
            raise EncryptionKeyRequired(
                f"{self.descriptor.name} is locked; the host lacks key "
                f"{', '.join(map(str, missing))}",
                required_key=missing,
            )
        return self._unlock(keys[available[0].key_id], available[0], machine_id)

    def _unlock(self, kek: Secret, locked: Locked, machine_id: str) -> Secret:
        return bundle.unlock(kek, locked.data, locked.key_id, machine_id, self.use)


def _sector_size(descriptor: Descriptor) -> int:
    text = descriptor.get("sectorSize") or "512"
    if text not in ("512", "4096"):
        raise DamagedData("sectorSize must be 512 or 4096")
    return int(text)


def _cipher(descriptor: Descriptor, dek: Secret | None) -> SectorCipher | PlainText:
    size = _sector_size(descriptor)
    return PlainText(size) if dek is None else SectorCipher(dek, size)
