"""Which machines are unlocked, and which of them an operation has reserved.

Unlocking a machine means opening its files: from then on its data keys are in memory, until the
files are closed. An operation that rewrites files reserves the machine first, so that nobody opens
it, and no second operation begins.
"""

import contextlib
import threading
from collections.abc import Iterator

from kmipkit_vsphere.host.datastore import Datastore
from kmipkit_vsphere.host.host_keys import HostKeys
from kmipkit_vsphere.host.open_machine import OpenMachine
from kmipkit_vsphere.model.errors import EncryptionKeyRequired, InvalidState, VSphereError


class OpenMachines:
    """The open machines of one host.

    ``lock`` guards the two tables here and the power state of all machines
    (:class:`~kmipkit_vsphere.host.power.PowerControl`). It is held while a machine is opened or
    closed, so that no machine is opened twice, or powered on while it is being closed. The locks of
    the key cache, the sealed configuration and each disk are taken inside it, never the other way
    round.

    A thread may hold the lock while it waits for the event loop: opening a machine of a trusted
    provider asks a service over the network. Therefore the event loop must never wait for the lock,
    and all calls that take it are made in worker threads.
    """

    def __init__(self, datastore: Datastore, keys: HostKeys) -> None:
        self._datastore = datastore
        self._keys = keys
        self._open: dict[str, OpenMachine] = {}
        self._reserved: set[str] = set()
        self.lock = threading.RLock()

    def get(self, name: str) -> OpenMachine | None:
        """The open files of a machine, None while it is locked."""
        return self._open.get(name)

    def open(self, name: str) -> OpenMachine:
        """Open a machine, and those of its disks that are still locked, with the keys at hand.

        Raises :class:`EncryptionKeyRequired` with the missing keys if the home cannot be opened.
        """
        with self.lock:
            opened = self._open.get(name)
            machine = self._datastore.machine(name)
            if opened is not None and opened.disks.keys() == machine.disks.keys():
                return opened
            self.check_idle(name)
            # Each key by itself: one that a disk alone needs does not keep the home locked.
            failures = self._keys.try_fetch(machine.key_ids())
            try:
                if opened is None:
                    opened = self._open[name] = OpenMachine.of(machine, self._keys.crypto.keys())
                else:
                    opened.open_disks(machine, self._keys.crypto.keys())
            except EncryptionKeyRequired as locked:
                causes = (failures[key] for key in locked.required_key if key in failures)
                raise next(causes, locked) from None
            return opened

    def close(self, name: str) -> None:
        """Lock a machine: its data keys are erased. Does nothing if it is locked already."""
        with self.lock:
            opened = self._open.pop(name, None)
            if opened is not None:
                opened.close()

    def close_all(self) -> None:
        """Lock all machines."""
        with self.lock:
            for name in list(self._open):
                self.close(name)

    @contextlib.contextmanager
    def quiesced(self, name: str) -> Iterator[None]:
        """Reserve a machine and close its files while the block runs; it may be powered on.

        Guests' reads and writes are refused meanwhile, so that nothing changes under the block. A
        machine that was open is opened again, if that is possible.
        """
        with self.lock:
            self.reserve(name)
            was_open = name in self._open
            self.close(name)
        try:
            yield
        finally:
            self.release(name)
            if was_open:
                with contextlib.suppress(VSphereError):  # the call reports what is wrong
                    self.open(name)

    # Reservations --------------------------------------------------------------------------------

    def check_idle(self, name: str) -> None:
        """Raise :class:`InvalidState` while an operation has reserved the machine."""
        if name in self._reserved:
            raise InvalidState(f"another operation on the machine {name} is in progress")

    def reserve(self, name: str) -> None:
        """Reserve a machine until :meth:`release`; :class:`InvalidState` if it is reserved."""
        with self.lock:
            self.check_idle(name)
            self._reserved.add(name)

    def release(self, name: str) -> None:
        """End a reservation."""
        with self.lock:
            self._reserved.discard(name)

    @contextlib.contextmanager
    def reserved(self, name: str) -> Iterator[None]:
        """Reserve a machine for as long as the block runs."""
        self.reserve(name)
        try:
            yield
        finally:
            self.release(name)
