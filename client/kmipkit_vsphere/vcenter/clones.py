"""The clones that have begun, so that neither they nor their keys are forgotten."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from kmipkit_vsphere.model.encoding import decode, encode
from kmipkit_vsphere.model.errors import HostUnreachable, VSphereError
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.model.message import Message
from kmipkit_vsphere.rpc.channel import CALL_TIMEOUT
from kmipkit_vsphere.vcenter.store import Store

PATIENCE: Final = timedelta(seconds=CALL_TIMEOUT)
"""How long a host that was asked for a copy may still be making it."""

_SETTING: Final = "clone/"


class CloneRecord(Message):
    """A clone that has begun: its source, its name, the host that makes it, and since when."""

    source: str
    new_name: str
    host: str
    key_ids: list[CryptoKeyId]
    since: datetime


class Clones:
    """The records in the store of vCenter."""

    def __init__(self, store: Store) -> None:
        self._settings = store.providers
        self._running: set[str] = set()

    @contextmanager
    def running(self, record: CloneRecord) -> Iterator[None]:
        """Record a clone for as long as it is made; after a failure that leaves it open, longer."""
        self._settings.set_setting(_SETTING + record.new_name, encode(record).decode())
        self._running.add(record.new_name)
        try:
            yield
        except HostUnreachable:
            raise  # the host may still complete it
        except VSphereError:
            self.end(record)
            raise
        else:
            self.end(record)
        finally:
            self._running.discard(record.new_name)

    def all(self) -> list[CloneRecord]:
        """All clones that have begun."""
        texts = self._settings.settings(_SETTING).values()
        return [decode(text.encode(), CloneRecord) for text in texts]

    def interrupted(self) -> list[CloneRecord]:
        """Those that no call works on."""
        return [record for record in self.all() if record.new_name not in self._running]

    def is_over(self, record: CloneRecord, now: datetime) -> bool:
        """Whether a copy that is not there will not come any more: its host had time enough."""
        return now - record.since > PATIENCE

    def end(self, record: CloneRecord) -> None:
        """Forget a clone that is over."""
        self._settings.set_setting(_SETTING + record.new_name, None)
