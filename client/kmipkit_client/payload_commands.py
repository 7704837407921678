"""The commands of ``kmipkit client`` that follow from the table of operations.

A command has an argument or option for each field of the request payload. The fields are read when a
command is used or explains itself, so that the list of commands needs no codec.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from kmipkit_client.errors import ClientError
from kmipkit_client.payload_command_table import COMMANDS, CommandRow

if TYPE_CHECKING:
    from kmipkit_client import Client
    from kmipkit_client.payload_fields import PayloadFields

NOTE = "Structures are JSON; @FILE in place of a value is the content of a file."


class ClientGroup(click.Group):
    """Adds the commands of the table to those that are written by hand."""

    def list_commands(self, context: click.Context) -> list[str]:
        """All commands."""
        return sorted({*super().list_commands(context), *COMMANDS})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """A command; None if there is none with this name."""
        written = super().get_command(context, name)
        if written is not None or name not in COMMANDS:
            return written
        return PayloadCommand(name, COMMANDS[name])


class PayloadCommand(click.Command):
    """One operation."""

    def __init__(self, name: str, row: CommandRow) -> None:
        summary = row.summary.replace("``", "")
        example = f"kmipkit client {name} {row.example}".rstrip()
        self._operation = row.operation
        super().__init__(
            name,
            callback=self._run,
            help=f"{summary}\n\n{NOTE}\n\n\b\nExample:\n  {example}",
            short_help=summary.partition(" (KMIP")[0],
        )

    def get_params(self, context: click.Context) -> list[click.Parameter]:
        """An argument or option for each field, ``--json``, ``--show-secrets`` and ``--help``."""
        if not self.params:
            self.params = [*self._fields().parameters(), *_OUTPUT]
        return super().get_params(context)

    def make_parser(self, context: click.Context) -> Any:
        """The parser, after the parameters are known."""
        self.get_params(context)
        return super().make_parser(context)

    def _fields(self) -> "PayloadFields":
        from kmipkit_client.payload_fields import PayloadFields

        return PayloadFields(self._operation)

    def _run(self, as_json: bool, show_secrets: bool, **texts: Any) -> None:
        from kmipkit_client.payload_fields import show

        fields = self._fields()
        try:
            payload = fields.payload(texts)
        except ClientError as error:
            raise click.UsageError(str(error)) from None
        connect: Callable[[], Client] = click.get_current_context().obj
        with connect() as client:
            response = client.request(fields.operation, payload)
            version = client.version()
        show(response, version, as_json, show_secrets)


_OUTPUT = (
    click.Option(["--json", "as_json"], is_flag=True, help="Print JSON."),
    click.Option(["--show-secrets"], is_flag=True, help="Print keys and other secrets as well."),
)
