"""Finds objects on the server by their names: those whose creation was not answered, and those that
earlier runs have left.

What is found will be destroyed. So a Locate is not trusted alone: a server may ignore criteria, and
find all objects of the account. Only what has the name itself counts.
"""

from collections.abc import Callable, Iterator
from typing import Any

from kmipkit_client import calls
from kmipkit_client.calls import Call
from kmipkit_client.errors import OperationFailed

from kmipkit.errors import ProtocolError
from kmipkit.model.attribute import Attributes
from kmipkit.spec.enums import State
from kmipkit.spec.tags import Tag
from kmipkit_load.errors import LinkFailed
from kmipkit_load.network import Network
from kmipkit_load.session import Session
from kmipkit_load.settings import Settings

ATTEMPTS = 3
"""How often a request is sent whose response does not come; and after so many names without any response
the server is not asked for more of them."""

NOT_ASKED = "not located"


class Unfound(Exception):
    """Nobody knows which objects have a name; the text says why."""


class Finder:
    """Asks over one connection."""

    def __init__(self, network: Network, settings: Settings) -> None:
        self._session = Session(network, settings.encoding, settings.timeout)
        self._version = settings.version
        self._lost = 0

    def named(self, name: str) -> list[str]:
        """The Unique Identifiers of the objects with a name. Unfound if that is not known."""
        found = self._ask(calls.locate(name)).ids
        return [each for each in found if name in self._names(each)]

    def beginning_with(
        self, prefix: str, show: Callable[[int, int], None]
    ) -> Iterator[tuple[str, str]]:
        """The objects of the account that live, and whose names begin so: Unique Identifier and name.

        No operation looks for the beginning of a name, so that each object is asked for its names.
        """
        every = self._ask(calls.locate()).ids
        for number, identifier in enumerate(every):
            show(number, len(every))
            names = [each for each in self._names(identifier) if each.startswith(prefix)]
            if names:
                yield identifier, names[0]

    def _names(self, identifier: str) -> list[str]:
        """The names of an object that lives; none if it does not."""
        try:
            attributes: Attributes = self._ask(
                calls.get_attributes(identifier, (Tag.NAME, Tag.STATE)), is_certain=True
            )
        except OperationFailed:
            return []  # it is gone, or not for this account
        if attributes.get(Tag.STATE) in (State.DESTROYED, State.DESTROYED_COMPROMISED):
            return []
        return [str(name.name_value) for name in attributes.all(Tag.NAME)]

    def _ask(self, call: Call[Any], *, is_certain: bool = False) -> Any:
        """The result of a call; with ``is_certain``, a refusal is one, too (OperationFailed)."""
        if self._lost >= ATTEMPTS:
            raise Unfound(NOT_ASKED)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                result = self._session.ask(call, self._version)
            except LinkFailed as error:
                if attempt == ATTEMPTS:
                    self._lost += 1
                    raise Unfound(str(error)) from None
            except OperationFailed as error:
                self._lost = 0
                if is_certain:
                    raise
                raise Unfound(str(error)) from None
            except ProtocolError as error:
                raise Unfound(str(error)) from None
            else:
                self._lost = 0
                return result
        raise AssertionError("the loop returns or raises")

    def close(self) -> None:
        """Close the connection."""
        self._session.close()
