"""Carries out rotations of keys beside the service: part by part, so that others write in between."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import trio

from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.key_rotation import Rotation, Rotations, Step

log = logging.getLogger("kmipkit.server")

RETRY_SECONDS = 30.0
"""Between two attempts to carry out a rotation that something prevents, such as a full disk."""

Announce = Callable[[str], Awaitable[None]]
"""Told where the new root key is, before the old one is given up."""
Report = Callable[[Rotation], Any]
"""Makes the result of the last transaction of a rotation, from which the journal of the store
records it."""


class _Store(Protocol):
    @property
    def rotations(self) -> Rotations: ...

    async def run(
        self,
        work: Callable[[Any], Any],
        *,
        writes: bool = False,
        slow: bool = False,
        account: str = "",
        on_commit: Callable[[Any], None] | None = None,
    ) -> Any: ...


async def announce_to_nobody(_place: str) -> None:
    """Nobody starts other processes that need the root key."""


class KeyRotator:
    """The rotations of one store."""

    def __init__(
        self,
        store: _Store,
        record: Report = lambda _: None,
        announce: Announce = announce_to_nobody,
    ) -> None:
        """``record`` is called for each rotation that has ended, ``announce`` before a root key ends."""
        self._store = store
        self._record = record
        self._announce = announce
        self._wake = trio.Event()
        self.problem = ""
        """What prevents a rotation in progress from going on; empty if nothing does."""
        self.waiting = trio.Event()
        """Set when there is nothing that could be done."""

    @property
    def rotations(self) -> Rotations:
        """What the store can do."""
        return self._store.rotations

    def wake(self) -> None:
        """A rotation has begun."""
        self._wake.set()

    async def run(self) -> None:
        """Carry out what an earlier run has left, and then each rotation that begins."""
        while True:
            try:
                await self.carry_out()
            except StoreError as error:
                if self.problem != str(error):
                    log.error("%s", error)
                self.problem = str(error)
                self.waiting.set()
                with trio.move_on_after(RETRY_SECONDS):
                    await self._wake.wait()
            else:
                self.waiting.set()
                await self._wake.wait()
            self._wake, self.waiting = trio.Event(), trio.Event()

    async def carry_out(self, progress: Callable[[Step], Any] = lambda _: None) -> None:
        """Carry out the rotation in progress to its end. StoreError if that fails.

        ``progress`` is called after each part.
        """
        rotations = self._store.rotations
        while True:
            step: Step = await self._store.run(
                rotations.step, writes=True, on_commit=rotations.stepped
            )
            if step.rotation is None:
                return
            self.problem = ""
            progress(step)
            if step.is_last and await self._ended(step):
                return
            # Who waits for the writer goes first.
            await trio.lowlevel.checkpoint()

    async def _ended(self, step: Step) -> bool:
        """End the rotation; whether nothing was left to do."""
        rotation, rotations = step.rotation, self._store.rotations
        assert rotation is not None
        place: str = await self._store.run(
            lambda reader: rotations.require_target(reader, rotation), slow=True
        )
        if place:
            await self._announce(place)
        has_ended = False

        def end(transaction: Any) -> Any:
            nonlocal has_ended
            has_ended = rotations.finish(transaction, rotation)
            return self._record(rotation) if has_ended else None

        def committed(_result: Any) -> None:
            if has_ended:
                rotations.finished(rotation)

        await self._store.run(end, writes=True, on_commit=committed)
        if has_ended:
            log.info("%s", _summary(step))
        return has_ended


def _summary(step: Step) -> str:
    assert step.rotation is not None
    if step.rotation.kind == "root":
        return "the root key was rotated: the old one is not needed any more"
    damaged = (
        f"; {step.damaged} keep their data keys, because they were changed in the database"
        if step.damaged
        else ""
    )
    return f"the data keys were rotated: {step.rotation.total} objects were sealed again{damaged}"
