"""Where settings come from: the defaults, a TOML file, the environment and the command line.

Each overrides those before it. The file has a table for each section of :mod:`.sections`. The variable
of ``listen.port`` is ``KMIPKIT_LISTEN_PORT``; an empty one counts as not set. All faults are collected,
so that one need not start the server once for each.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_type_hints

from kmipkit.toml_text import parse as parse_toml
from kmipkit_server.config import rules
from kmipkit_server.config.errors import ConfigError
from kmipkit_server.config.sections import Config
from kmipkit_server.config.values import from_text, from_toml
from kmipkit_server.toml.lines import lines_of
from kmipkit_server.toml.suggestion import suggestion

PREFIX = "KMIPKIT_"

CONFIG_VARIABLE = "KMIPKIT_CONFIG"
"""The variable with the path of the configuration file."""

OTHER_VARIABLES = frozenset(
    {
        CONFIG_VARIABLE,
        "KMIPKIT_KEY_PASSWORD",
        "KMIPKIT_KEY_PASSWORD_FILE",
        # those that docs/root-keys.md proposes for store.root_key
        "KMIPKIT_ROOT_KEY",
        "KMIPKIT_ROOT_KEY_PASSPHRASE",
        "KMIPKIT_ROOT_KEY_PIN",
        # of kmipkit client
        "KMIPKIT_SERVER",
        "KMIPKIT_CA",
        "KMIPKIT_CERT",
        "KMIPKIT_KEY",
    }
)
"""Variables with the prefix that are no settings of the server."""

OPTIONS: Mapping[str, str] = {
    "store.directory": "--data-dir",
    "server.workers": "--workers",
    "listen.host": "--host",
    "listen.port": "--port",
    "tls.cert": "--tls-cert",
    "tls.key": "--tls-key",
    "tls.key_password_file": "--key-password-file",
    "tls.ca": "--tls-ca",
    "tls.san": "--san",
    "kmip.strict": "--strict",
    "log.level": "--log-level",
    "log.format": "--log-format",
}
"""The option of each setting that has one."""

DEFAULT = "default"

Options = Mapping[str, Mapping[str, Any]]
"""Values of options by section and key; None is an option that is not used."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration, and where each value comes from."""

    config: Config
    origins: Mapping[str, str] = field(default_factory=dict)
    """``file:line``, the name of a variable or that of an option; defaults are not in it."""
    file: Path | None = None
    """The configuration file."""

    def origin(self, setting: str) -> str:
        """Where a setting, or one of a section, has its value from."""
        for name, origin in self.origins.items():
            if name == setting or name.startswith(f"{setting}.") or setting.startswith(f"{name}."):
                return origin
        return DEFAULT


def variable(section: str, key: str) -> str:
    """The environment variable of a setting."""
    return f"{PREFIX}{section}_{key}".upper()


def setting_types() -> Mapping[str, Mapping[str, Any]]:
    """The types of all settings, by section and key."""
    return {name: get_type_hints(section) for name, section in get_type_hints(Config).items()}


def read_settings(path: Path | None, environment: Mapping[str, str], options: Options) -> Settings:
    """The configuration from all sources. ConfigError with all faults if there are any."""
    settings, faults, _ = examine_settings(path, environment, options)
    if faults:
        raise ConfigError(*faults)
    return settings


def examine_settings(
    path: Path | None, environment: Mapping[str, str], options: Options
) -> tuple[Settings, tuple[str, ...], frozenset[str]]:
    """The same without what is faulty, the faults, and the sections that have them (``""``: all)."""
    reading = _Reading()
    if path is not None:
        reading.read_file(path)
    reading.read_environment(environment)
    reading.read_options(options)
    settings, faults, faulty = reading.examined()
    return replace(settings, file=path), faults, faulty


def load(path: Path) -> Config:
    """The configuration in a file alone; ConfigError if it is unreadable or not valid."""
    return read_settings(path, {}, {}).config


def with_options(config: Config, options: Options, source: str = "command line") -> Config:
    """The configuration with other values, by section. ConfigError, which names their source."""
    sections = {}
    for name, options_of_section in options.items():
        values = {key: value for key, value in options_of_section.items() if value is not None}
        if values:
            sections[name] = replace(getattr(config, name), **values)
    return rules.check(replace(config, **sections), source)


class _Reading:
    """Values and faults, while the sources are read one after the other."""

    def __init__(self) -> None:
        self._types = setting_types()
        self._values: dict[str, dict[str, object]] = {}
        self._origins: dict[str, str] = {}
        self._faults: list[str] = []
        self._unread: set[str] = set()
        """Settings and sections whose values could not be read: rules about them would mislead."""

    def _is_unread(self, setting: str) -> bool:
        section = setting.partition(".")[0]
        return any(
            unread in ("", section, setting) or unread.startswith(f"{setting}.")
            for unread in self._unread
        )

    def examined(self) -> tuple[Settings, tuple[str, ...], frozenset[str]]:
        """See :func:`examine_settings`."""
        sections = get_type_hints(Config)
        values = {name: sections[name](**values) for name, values in self._values.items()}
        settings = Settings(Config(**values), self._origins)
        broken = [
            (setting, fault)
            for setting, fault in rules.faults(settings.config, settings.origin)
            if not self._is_unread(setting)
        ]
        faults = (*self._faults, *(fault for _, fault in broken))
        faulty = (*self._unread, *(setting for setting, _ in broken))
        return settings, faults, frozenset(name.partition(".")[0] for name in faulty)

    def read_file(self, path: Path) -> None:
        try:
            text = path.read_text(encoding="utf-8")
            document = parse_toml(text)
        except OSError as error:
            self._add(f"{path}: {error.strerror}", "")
            return
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            self._add(f"{path}: not valid TOML: {error}", "")
            return
        lines = lines_of(text)
        for section, table in document.items():
            line = lines.get((section,))
            place = str(path) if line is None else f"{path}:{line}"
            if section not in self._types:
                known = ", ".join(self._types)
                self._faults.append(
                    f"{place}: unknown section [{section}]; the sections are {known}"
                    + suggestion(section, self._types)
                )
            elif not isinstance(table, dict):
                self._add(f"{place}: [{section}] must be a table", section)
            else:
                for key, value in table.items():
                    line = lines.get((section, key))
                    place = str(path) if line is None else f"{path}:{line}"
                    self._read_key(section, key, value, place, path.parent)

    def _read_key(self, section: str, key: str, value: object, place: str, base: Path) -> None:
        types = self._types[section]
        if key not in types:
            self._faults.append(
                f"{place}: [{section}]: unknown key {key!r}; the keys are {', '.join(types)}"
                + suggestion(key, types)
            )
            return
        location = f"{place}: [{section}] {key}"
        try:
            self._set(section, key, from_toml(types[key], value, location, base), place)
        except ConfigError as error:
            self._add(str(error), f"{section}.{key}")

    def read_environment(self, environment: Mapping[str, str]) -> None:
        known = {
            variable(section, key): (section, key)
            for section, types in self._types.items()
            for key in types
        }
        for name in sorted(environment):
            if not name.startswith(PREFIX) or name in OTHER_VARIABLES or not environment[name]:
                continue
            if name not in known:
                similar = suggestion(name, (*known, *OTHER_VARIABLES), PREFIX)
                self._faults.append(f"{name}: unknown environment variable{similar}")
                continue
            section, key = known[name]
            try:
                value = from_text(self._types[section][key], environment[name], name)
                self._set(section, key, value, name)
            except ConfigError as error:
                self._add(str(error), f"{section}.{key}")

    def read_options(self, options: Options) -> None:
        for section, values in options.items():
            for key, value in values.items():
                if value is not None:
                    self._set(section, key, value, OPTIONS[f"{section}.{key}"])

    def _add(self, fault: str, unread: str) -> None:
        self._faults.append(fault)
        self._unread.add(unread)

    def _set(self, section: str, key: str, value: object, origin: str) -> None:
        self._values.setdefault(section, {})[key] = value
        self._origins[f"{section}.{key}"] = origin


def all_settings() -> Iterator[tuple[str, str]]:
    """Section and key of every setting."""
    for section, types in setting_types().items():
        for key in types:
            yield section, key
