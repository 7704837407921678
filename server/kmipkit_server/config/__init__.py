"""Configuration: frozen objects from one TOML file, the environment and the command line."""

from kmipkit_server.config.directories import require_writable
from kmipkit_server.config.errors import ConfigError
from kmipkit_server.config.rules import address, check
from kmipkit_server.config.sections import DEFAULT_PORT, AuditConfig, Config
from kmipkit_server.config.sources import Settings, load, read_settings, with_options

__all__ = [
    "DEFAULT_PORT",
    "AuditConfig",
    "Config",
    "ConfigError",
    "Settings",
    "address",
    "check",
    "load",
    "read_settings",
    "require_writable",
    "with_options",
]
