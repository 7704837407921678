"""The command group ``kmipkit admin``, whose subcommands are loaded when they are used.

A subcommand is a click command in a module of this package, and a row in :data:`SUBCOMMANDS`.
"""

from collections.abc import Mapping
from pkgutil import resolve_name
from types import MappingProxyType

import click

SUBCOMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "audit": "kmipkit_server.admin.audit_commands:audit",
        "config": "kmipkit_server.admin.config_commands:config",
    }
)
"""Where each subcommand is, as ``module:name``."""


class Subcommands(click.Group):
    """The commands in :data:`SUBCOMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *SUBCOMMANDS})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = SUBCOMMANDS.get(cmd_name)
        if place is None:
            return super().get_command(ctx, cmd_name)
        command: click.Command = resolve_name(place)
        return command


@click.group(cls=Subcommands)
def admin() -> None:
    """Administer a key server.

    \b
    Examples:
      kmipkit admin audit tail --follow
      kmipkit admin audit query --object IDENTIFIER
      kmipkit admin audit verify
    """
