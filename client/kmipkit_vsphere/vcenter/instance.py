"""The identity of a vCenter."""

from uuid import uuid4

from kmipkit_vsphere.vcenter.store import Store

_SETTING = "instance"


class Instance:
    """Identifies one vCenter among others (R27)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def id(self) -> str:
        """A UUID, created at its first use."""
        known = self._store.providers.setting(_SETTING)
        if known is None:
            known = str(uuid4())
            self._store.providers.set_setting(_SETTING, known)
        return known
