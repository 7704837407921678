"""Faults from a file in TOML: a table ``[[fault]]`` for each, and ``seed``.

A table ``[kmip]`` says what the server does not have, as in its configuration: it needs no fault to be
told apart from a server that never had it.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kmipkit.toml_text import parse as parse_toml
from kmipkit_server.config import ConfigError
from kmipkit_server.config.members import unknown
from kmipkit_server.test_mode.faults.fault import Faults

_KEYS = ("fault", "kmip", "seed")
_SETTINGS = ("only_operations", "without_operations", "versions")
"""What ``[kmip]`` may have."""


PERSONALITIES = Path(__file__).resolve().parents[1] / "personalities"
"""The folder with the faults of other servers."""


def personalities() -> list[str]:
    """The names of the servers whose faults there are."""
    return sorted(path.stem for path in PERSONALITIES.glob("*.toml"))


def personality(name: str) -> Path:
    """The file with the faults of a server. ConfigError if there is none."""
    if name not in personalities():
        raise unknown(name, "personality", personalities())
    return PERSONALITIES / f"{name}.toml"


def read(*paths: Path) -> Faults:
    """The faults and settings of some files; the last one has the seed.

    ConfigError with all that is wrong in one.
    """
    faults = Faults()
    for path in paths:
        _read(path, faults)
    return faults


def _read(path: Path, faults: Faults) -> None:
    try:
        document = parse_toml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    wrong = [f"{path}: {unknown(key, 'key', _KEYS)}" for key in document if key not in _KEYS]
    seed, tables = document.get("seed", 0), document.get("fault", [])
    if isinstance(seed, bool) or not isinstance(seed, int):
        wrong.append(f"{path}: seed must be a whole number, not {seed!r}")
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        raise ConfigError(*wrong, f"{path}: each fault must be a table [[fault]]")
    faults.seed = seed
    wrong += _read_settings(document.get("kmip", {}), f"{path}: [kmip]", faults)
    for number, table in enumerate(tables, 1):
        try:
            _add(faults, table)
        except ConfigError as error:
            wrong.append(f"{path}: [[fault]] {number}: {error}")
    if wrong:
        raise ConfigError(*wrong)


def _read_settings(table: Any, place: str, faults: Faults) -> Iterator[str]:
    """What is wrong in a table of settings; the others are taken."""
    if not isinstance(table, dict):
        yield f"{place} must be a table"
        return
    for key, names in table.items():
        if key not in _SETTINGS:
            yield f"{place}: {unknown(key, 'key', _SETTINGS)}"
        elif not isinstance(names, list) or not all(isinstance(each, str) for each in names):
            yield f"{place}: {key} must be a list of strings, not {names!r}"
        else:
            faults.settings[key] = tuple(names)


def _add(faults: Faults, table: dict[str, Any]) -> None:
    if "name" not in table:
        raise ConfigError("the name is missing")
    faults.add(**table)
