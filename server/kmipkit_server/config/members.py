"""Names of the standard as people write them: ``Create Key Pair``, ``create-key-pair``."""

import difflib
import re
from collections.abc import Iterable
from enum import Enum
from typing import TypeVar, cast

from kmipkit.spec.enumeration import OpenEnum
from kmipkit.spec.titles import title
from kmipkit_server.config.errors import ConfigError

Member = TypeVar("Member", bound=Enum)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _shown(member: Enum) -> str:
    return title(member) if isinstance(member, OpenEnum) else member.name.replace("_", " ").title()


def member(members: Iterable[Member], name: object, what: str) -> Member:
    """The one with this name of some members, or of all of an enumeration.

    ConfigError with the most similar one if there is none.
    """
    if isinstance(name, Enum):
        return cast("Member", name)
    known = {_plain(each.name): each for each in members}
    found = known.get(_plain(str(name)))
    if found is None:
        similar = difflib.get_close_matches(_plain(str(name)), known, 1)
        hint = f"; did you mean {_shown(known[similar[0]])}?" if similar else ""
        raise ConfigError(f"unknown {what} {name!r}{hint}")
    return found


def unknown(name: str, what: str, names: Iterable[str]) -> ConfigError:
    """The error for a name that is none of these."""
    names = list(names)
    similar = difflib.get_close_matches(name, names, 1)
    hint = f"; did you mean {similar[0]}?" if similar else f"; known are {', '.join(names)}"
    return ConfigError(f"unknown {what} {name!r}{hint}")
