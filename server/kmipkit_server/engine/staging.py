"""A table as one batch sees it: its own changes on top of what all batches share.

A batch may be rolled back, or run twice. Its changes in memory are therefore staged: the batch sees
them at once, others only when they are published. The changes of a discarded batch are lost.
"""

from collections.abc import Iterator, MutableMapping
from typing import Any, TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

_ABSENT: Any = object()
_DELETED: Any = object()


class Staged(MutableMapping[_Key, _Value]):
    """A view of a shared table, with changes that only this view has until they are published."""

    __slots__ = ("_own", "_shared", "_undo")

    def __init__(self, shared: MutableMapping[_Key, _Value]) -> None:
        self._shared = shared
        self._own: dict[_Key, _Value] = {}
        self._undo: list[tuple[_Key, _Value]] = []
        """For each change, the key and its previous value in the own table."""

    def __getitem__(self, key: _Key) -> _Value:
        value: _Value = self._own.get(key, _ABSENT)
        if value is _ABSENT:
            return self._shared[key]
        if value is _DELETED:
            raise KeyError(key)
        return value

    def __setitem__(self, key: _Key, value: _Value) -> None:
        self._undo.append((key, self._own.get(key, _ABSENT)))
        self._own[key] = value

    def __delitem__(self, key: _Key) -> None:
        if key not in self:
            raise KeyError(key)
        self[key] = _DELETED

    def __iter__(self) -> Iterator[_Key]:
        # A copy, since a slow operation iterates in a thread while others publish on the event loop.
        for key in list(self._shared):
            if key not in self._own:
                yield key
        for key, value in list(self._own.items()):
            if value is not _DELETED:
                yield key

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def savepoint(self) -> int:
        """The number of changes so far, for :meth:`rollback`."""
        return len(self._undo)

    def rollback(self, savepoint: int) -> None:
        """Undo the changes since a savepoint."""
        while len(self._undo) > savepoint:
            key, previous = self._undo.pop()
            if previous is _ABSENT:
                del self._own[key]
            else:
                self._own[key] = previous

    def publish(self) -> None:
        """Apply the changes to the shared table."""
        for key, value in self._own.items():
            if value is _DELETED:
                self._shared.pop(key, None)
            else:
                self._shared[key] = value
