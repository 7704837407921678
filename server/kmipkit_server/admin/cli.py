"""The command group ``kmipkit admin``, whose subcommands are loaded when they are used.

A subcommand is a click command in a module of this package, and a row in :data:`SUBCOMMANDS`.
"""

from collections.abc import Mapping
from pkgutil import resolve_name
from types import MappingProxyType

import click

SUBCOMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "accounts": "kmipkit_server.admin.account_commands:accounts",
        "audit": "kmipkit_server.admin.audit_commands:audit",
        "backup": "kmipkit_server.admin.backup_commands:backup",
        "certificates": "kmipkit_server.admin.certificate_commands:certificates",
        "clock": "kmipkit_server.admin.clock_commands:clock",
        "compare": "kmipkit_migrate.cli:compare",
        "config": "kmipkit_server.admin.config_commands:config",
        "enrol": "kmipkit_server.admin.enrol_command:enrol",
        "groups": "kmipkit_server.admin.group_commands:groups",
        "keys": "kmipkit_server.admin.key_commands:keys",
        "migrate": "kmipkit_migrate.cli:migrate",
        "objects": "kmipkit_server.admin.object_commands:objects",
        "policy": "kmipkit_server.admin.policy_commands:policy",
        "restore": "kmipkit_server.admin.backup_commands:restore",
        "sessions": "kmipkit_server.admin.session_commands:sessions",
        "store": "kmipkit_server.admin.store_commands:store",
        "tenants": "kmipkit_server.admin.tenant_commands:tenants",
        "users": "kmipkit_server.admin.user_commands:users",
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
      kmipkit admin objects list --owner db01
      kmipkit admin accounts block db01
      kmipkit admin audit query --object IDENTIFIER
    """
