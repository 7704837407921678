"""Values of settings: from TOML or from text, checked against the type of their field."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from kmipkit.toml_text import parse as parse_toml
from kmipkit_server.config.errors import ConfigError
from kmipkit_server.vault.kinds import parse as parse_root_key
from kmipkit_server.vault.uri import RootKeyURI

_LIST = tuple[str, ...]
_PATHS = tuple[Path, ...]

_CHECKS: Mapping[Any, tuple[str, tuple[type, ...]]] = {
    bool: ("true or false", (bool,)),
    int: ("a whole number", (int,)),
    float: ("a number", (int, float)),
    str: ("a string", (str,)),
    Path: ("a path", (str,)),
    RootKeyURI: ("a string", (str,)),
    _LIST: ("a list of strings", (list,)),
    _PATHS: ("a list of paths", (list,)),
    Mapping: ("a table of strings", (dict,)),
}


def kind_of(hint: Any) -> Any:
    """The type of a field without ``None``: a key of the table of checks."""
    # The hint is X or X | None, where X is such a key, or Mapping[str, str].
    hint = next((each for each in (_LIST, _PATHS) if each in (hint, *get_args(hint))), hint)
    candidates = () if get_origin(hint) is Mapping else (hint, *get_args(hint))
    return next((each for each in candidates if each in _CHECKS), Mapping)


def description_of(hint: Any) -> str:
    """The type of a field in words."""
    return _CHECKS[kind_of(hint)][0]


def from_toml(hint: Any, value: object, location: str, base: Path) -> object:
    """A value from a file; paths are relative to ``base``. ConfigError if it has another type."""
    expected = kind_of(hint)
    description, types = _CHECKS[expected]
    # A bool is an int for isinstance(), but not for a user.
    if isinstance(value, bool) is not (expected is bool) or not isinstance(value, types):
        raise ConfigError(f"{location} must be {description}, not {value!r}")
    if expected is Path:
        return base / str(value)
    if expected is RootKeyURI:
        return _root_key(str(value), location, base)
    if expected in (_LIST, _PATHS):
        strings: tuple[object, ...] = tuple(value)  # type: ignore[arg-type]  # a list, see above
        if not all(isinstance(each, str) for each in strings):
            raise ConfigError(f"{location} must be {description}")
        return strings if expected is _LIST else tuple(base / str(each) for each in strings)
    if expected is Mapping and not all(isinstance(each, str) for each in dict(value).values()):  # type: ignore[call-overload]  # checked to be a dict above
        raise ConfigError(f"{location} must be {description}")
    return value


def _root_key(text: str, location: str, base: Path) -> RootKeyURI:
    try:
        return parse_root_key(text, base)
    except ValueError as error:
        raise ConfigError(f"{location} {error}") from None


def from_text(hint: Any, text: str, location: str) -> object:
    """A value from an environment variable; paths are relative to the working directory.

    Lists are separated by commas, tables are ``name=value`` separated by commas, or both are written
    as in TOML. ConfigError if it has another type.
    """
    expected = kind_of(hint)
    return from_toml(hint, _parse(expected, text), location, Path())


def _parse(expected: Any, text: str) -> object:
    if expected in (str, Path, RootKeyURI):
        return text
    if expected in (_LIST, _PATHS) and not text.lstrip().startswith("["):
        return [each.strip() for each in text.split(",") if each.strip()]
    if expected is Mapping and not text.lstrip().startswith("{"):
        pairs = (each.partition("=") for each in text.split(",") if each.strip())
        return {name.strip(): value.strip() for name, _, value in pairs}
    try:
        document = parse_toml(f"value = {text.strip()}")
    except tomllib.TOMLDecodeError:
        return text  # which has the wrong type
    return document["value"] if len(document) == 1 else text
