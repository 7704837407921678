"""One connection as the proxy sees it: bytes of both directions in, entries of the capture out.

Nothing here changes what is passed on. Bytes that are no message are noted, and so is the end of a
connection within a message.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from kmipkit.captures import CLIENT, SERVER, Entry
from kmipkit.connection import Framer
from kmipkit.errors import ProtocolError, RemoteProtocolError
from kmipkit.spec.tags import Tag
from kmipkit.ttlv import binary
from kmipkit.ttlv.limits import Limits
from kmipkit.ttlv.tree import Item
from kmipkit_proxy.items import version_of
from kmipkit_proxy.pseudonyms import Pseudonyms

_ANSWERS: Mapping[str, str] = MappingProxyType({CLIENT: SERVER, SERVER: CLIENT})

Note = Callable[[Entry, Item | None], None]
"""Takes each entry, with the message as it was sent."""


@dataclass(slots=True)
class Observer:
    """Follows one connection."""

    number: int
    take: Note
    clock: Callable[[], str]
    limits: Limits
    pseudonyms: Pseudonyms | None
    """Replaces secrets; None to keep them."""
    unanswered: int = 0
    """Requests without their answers so far."""
    _framers: dict[str, Framer | None] = field(init=False)
    """None after bytes that are no message: nothing tells where the next one would begin."""

    def __post_init__(self) -> None:
        self._framers = {sender: Framer(self.limits) for sender in _ANSWERS}

    @property
    def understands(self) -> bool:
        """Whether all bytes so far were messages."""
        return None not in self._framers.values()

    def see(self, sender: str, data: bytes) -> None:
        """Bytes that ``client`` or ``server`` sends; none at the end of its side."""
        framer = self._framers[sender]
        if framer is None:
            return
        framer.feed(data)
        try:
            while isinstance(message := framer.next_message(), bytes):
                self._message(sender, message)
        except RemoteProtocolError as error:
            self._framers[sender] = None
            self.note(f"from the {sender}: {error}; passed on, and not recorded from here on")

    def note(self, text: str) -> None:
        """Say what happened to the connection."""
        self.take(Entry(connection=self.number, time=self.clock(), note=text), None)

    def _message(self, sender: str, data: bytes) -> None:
        try:
            item = binary.decode(data, self.limits)
        except ProtocolError as error:
            self._malformed(sender, data, error)
            return
        redacted, count = (item, 0) if self.pseudonyms is None else self.pseudonyms.redacted(item)
        self.unanswered += 1 if item.tag == Tag.REQUEST_MESSAGE else -1
        entry = Entry(
            connection=self.number,
            time=self.clock(),
            sender=sender,
            version=version_of(item),
            redacted=count,
            message=binary.encode(redacted) if count else data,
        )
        self.take(entry, item)

    def _malformed(self, sender: str, data: bytes, error: ProtocolError) -> None:
        """Nothing tells which bytes of such a message are secret."""
        self.unanswered += 1 if sender == CLIENT else -1
        text = f"a malformed message of {len(data)} bytes from the {sender}: {error}"
        self.note(f"{text}; passed on")
        if self.pseudonyms is None:
            entry = Entry(connection=self.number, time=self.clock(), sender=sender, message=data)
            self.take(entry, None)
