"""The effective configuration for people and scripts: each value, and where it comes from."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from kmipkit_server.config.effective import effective
from kmipkit_server.config.sections import Config
from kmipkit_server.config.sources import Settings, all_settings

MASK = "********"


class ShownSetting(NamedTuple):
    """A setting as it is shown."""

    section: str
    key: str
    value: Any
    """A value of JSON; secrets are masked."""
    origin: str


def shown(settings: Settings) -> Iterator[ShownSetting]:
    """All settings, with the values that apply."""
    config = effective(settings.config)
    for section, key in all_settings():
        value = shown_value(config, section, key)
        yield ShownSetting(section, key, value, settings.origin(f"{section}.{key}"))


def shown_value(config: Config, section: str, key: str) -> Any:
    """The value of a setting for JSON, without secrets."""
    table = getattr(config, section)
    value = getattr(table, key)
    [declared] = [each for each in fields(table) if each.name == key]
    if declared.metadata.get("secret") and value:
        return dict.fromkeys(value, MASK) if isinstance(value, Mapping) else MASK
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [str(each) for each in value]
    if isinstance(value, Mapping):
        return dict(value)
    return _without_password(value) if isinstance(value, str) else value


def _without_password(text: str) -> str:
    """A URL without the password in it."""
    scheme, separator, rest = text.partition("://")
    user, at, host = rest.rpartition("@")
    if not separator or not at:
        return str(text)  # without its type, such as that of a URI
    return f"{scheme}://{user.partition(':')[0]}:{MASK}@{host}"


def as_lines(settings: Settings) -> Iterator[str]:
    """One line for each setting."""
    rows = [
        (f"{each.section}.{each.key}", value_text(each.value), each.origin)
        for each in shown(settings)
    ]
    widths = [min(48, max(len(row[column]) for row in rows)) for column in (0, 1)]
    for name, value, origin in rows:
        yield f"{name:{widths[0]}}  {value:{widths[1]}}  {origin}"


def as_json(settings: Settings) -> dict[str, dict[str, dict[str, Any]]]:
    """Value and source by section and key."""
    result: dict[str, dict[str, dict[str, Any]]] = {}
    for each in shown(settings):
        entry = {"value": each.value, "source": each.origin}
        result.setdefault(each.section, {})[each.key] = entry
    return result


def value_text(value: Any) -> str:
    """A value as TOML has it; ``-`` for a setting without one."""
    if value is None:
        return "-"
    if isinstance(value, dict):
        pairs = (f"{json.dumps(k, ensure_ascii=False)} = {value_text(v)}" for k, v in value.items())
        return f"{{ {', '.join(pairs)} }}" if value else "{}"
    return json.dumps(value, ensure_ascii=False)
