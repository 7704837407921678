"""The name that somebody probably meant."""

import difflib
from collections.abc import Iterable


def suggestion(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Words with the most similar name, if there is one. Case and a prefix of all do not count."""
    names = {each.removeprefix(prefix).lower(): each for each in known}
    similar = difflib.get_close_matches(name.removeprefix(prefix).lower(), names, 1)
    return f"; did you mean {names[similar[0]]}?" if similar else ""
