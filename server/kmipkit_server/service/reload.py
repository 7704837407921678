"""SIGHUP: the configuration is read again, and what can change while the server runs changes at once.

First everything new is read, checked and prepared; only if all of that succeeds is anything changed.
So a faulty file changes nothing. What cannot change while the server runs is named in the log, and
keeps its value until the next start.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import trio
from kmipkit_certs.passwords import KeyPassword

from kmipkit_server import logs
from kmipkit_server.config import Config, ConfigError, Settings, check
from kmipkit_server.config.effective import is_development
from kmipkit_server.config.rules import LEVELS
from kmipkit_server.config.show import shown_value, value_text
from kmipkit_server.config.sources import all_settings
from kmipkit_server.net.tls import TLSSettings
from kmipkit_server.service.tls_files import configured_files, revocation_files
from kmipkit_server.store.errors import StoreError

log = logging.getLogger("kmipkit.server")

Commit = Callable[[], Iterable[str]]
"""Applies what was prepared, and cannot fail; the lines say what has changed in files."""


class Reloadable(Protocol):
    """A part of the server that can take on a new configuration."""

    def prepare(self, config: Config) -> Commit:
        """Read and check all that is new. ConfigError: nothing has changed."""


RELOADABLE = (
    "tls.cert", "tls.key", "tls.key_password_file", "tls.ca", "tls.crl", "tls.expired_crl",
    "tls.revoked", "policy.file", "limits.*", "backup.*", "log.level",
)  # fmt: skip
"""The settings that a reload changes; ``*`` stands for all of a section."""


def is_reloadable(section: str, key: str) -> bool:
    """Whether a reload changes a setting."""
    return f"{section}.*" in RELOADABLE or f"{section}.{key}" in RELOADABLE


class Change(NamedTuple):
    """A setting that has another value than before."""

    section: str
    key: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.section}.{self.key}: {value_text(self.old)} -> {value_text(self.new)}"


def changes(old: Config, new: Config) -> Iterator[Change]:
    """The settings in which two configurations differ; secrets are masked."""
    for section, key in all_settings():
        values = (getattr(getattr(config, section), key) for config in (old, new))
        if len(set(map(repr, values))) > 1:
            shown = (shown_value(config, section, key) for config in (old, new))
            yield Change(section, key, *shown)


def merged(old: Config, new: Config) -> Config:
    """The old configuration with the new values of what can be reloaded."""
    sections: dict[str, Any] = {}
    for section, key in all_settings():
        if is_reloadable(section, key):
            table = sections.get(section, getattr(old, section))
            sections[section] = replace(table, **{key: getattr(getattr(new, section), key)})
    return replace(old, **sections)


@dataclass(slots=True)
class Reloader:
    """Reloads the parts of a running server."""

    config: Config
    """What the server uses now."""
    read: Callable[[], Settings]
    """Reads the configuration again from all of its sources."""
    parts: Sequence[Reloadable]
    store: Callable[[Config], Awaitable[Iterable[str]]]
    """Stores what the store has of the new configuration, before all else; the lines say what has
    changed. A StoreError means that nothing has."""
    turn: trio.Semaphore = field(default_factory=lambda: trio.Semaphore(1))
    """Held by who reads files and then applies them, so that older ones never replace newer ones."""

    async def reload(self) -> None:
        """Change all parts or none, and log what has changed."""
        async with self.turn:
            await self._reload()

    async def _reload(self) -> None:
        try:
            settings, new, commits = await trio.to_thread.run_sync(self._prepare)
            stored = await self.store(new)
        except (ConfigError, StoreError) as error:
            for fault in error.faults if isinstance(error, ConfigError) else (error,):
                log.error(
                    "configuration and certificates not reloaded, the old ones stay in use: %s",
                    fault,
                )
            return
        old, self.config = self.config, new
        details = [*stored]
        details += [line for commit in commits for line in commit()]
        # What has changed is reported at the more verbose of the two levels.
        levels = sorted((old.log.level, new.log.level), key=LEVELS.index)
        logs.set_level(levels[0])
        self._report(old, settings, details)
        logs.set_level(new.log.level)

    def _report(self, old: Config, settings: Settings, details: Iterable[str]) -> None:
        for change in changes(old, settings.config):
            origin = settings.origin(f"{change.section}.{change.key}")
            if is_reloadable(change.section, change.key):
                log.info("%s (%s)", change, origin)
            else:
                log.warning("%s (%s) has no effect before a restart", change, origin)
        for line in details:
            log.info("%s", line)
        log.info("configuration and certificates reloaded")

    def _prepare(self) -> tuple[Settings, Config, list[Commit]]:
        """Read everything, in a thread: a revocation list may be long."""
        settings = self.read()
        new = check(merged(self.config, settings.config), "the reloaded configuration")
        return settings, new, self.prepared(new)

    def prepared(self, config: Config) -> list[Commit]:
        """What makes all parts take a configuration on, when it is read and checked. ConfigError."""
        return [part.prepare(config) for part in self.parts]


@dataclass(frozen=True, slots=True)
class Certificates:
    """The server's certificates, the authorities of its clients, and the revocations."""

    tls: TLSSettings
    password: KeyPassword
    end_revoked: Callable[[], None]
    """Ends the connections whose certificates are revoked now."""
    is_development: bool
    """Whether the server has made its certificates itself."""

    def prepare(self, config: Config) -> Commit:
        """Read all files."""
        tls = self.tls
        # Whether certificates are those of the development PKI decides about more than them.
        if self.is_development is not is_development(config):
            raise ConfigError(
                "tls: the change between the development PKI and other certificates needs a restart"
            )
        if self.is_development:
            files = tls.files
        else:
            file = config.tls.key_password_file or self.password.file
            files = configured_files(config, replace(self.password, file=file))
        commit = tls.prepare(files, revocation_files(config))

        def apply() -> Iterable[str]:
            lines = commit()
            self.end_revoked()
            return lines

        return apply


@dataclass(frozen=True, slots=True)
class Values:
    """Values that need no preparation."""

    apply: Callable[[Config], None]

    def prepare(self, config: Config) -> Commit:
        """Nothing can go wrong with them that the rules of the configuration do not find."""

        def apply() -> Iterable[str]:
            self.apply(config)
            return ()

        return apply
