"""The calls that administrators make from the command line, as one table.

Each row is a subcommand: the method it calls and where its arguments go in the parameters.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import click


class Argument(NamedTuple):
    """An argument or option of a subcommand; ``path`` is its place in the parameters."""

    declaration: str
    path: str
    type: Any = str
    default: Any = None

    @property
    def is_option(self) -> bool:
        return self.declaration.startswith("--")

    @property
    def name(self) -> str:
        return self.declaration.lstrip("-").replace("-", "_").lower()


class Verb(NamedTuple):
    """A subcommand and the call that it makes."""

    name: str
    method: str
    help: str
    arguments: tuple[Argument, ...] = ()
    example: str = ""


_PORT = click.IntRange(1, 65535)

VCENTER_VERBS = (
    Verb(
        "add-key-server",
        "RegisterKmipServer",
        "Add a key server to the key provider PROVIDER, which is made if it is new.",
        (
            Argument("PROVIDER", "clusterId"),
            Argument("NAME", "info.name"),
            Argument("ADDRESS", "info.address"),
            Argument("--port", "info.port", _PORT, 5696),
        ),
        "add-key-server KMS kms1 192.0.2.7",
    ),
    Verb(
        "update-key-server",
        "UpdateKmipServer",
        "Change the address of a key server.",
        (
            Argument("PROVIDER", "clusterId"),
            Argument("NAME", "info.name"),
            Argument("ADDRESS", "info.address"),
            Argument("--port", "info.port", _PORT, 5696),
        ),
        "update-key-server KMS kms1 192.0.2.8",
    ),
    Verb("key-providers", "ListKmipServers", "List the key providers and their servers."),
    Verb("status", "RetrieveKmipServersStatus", "Ask every key server whether it answers."),
    Verb(
        "mark-default",
        "MarkDefault",
        "Take new keys from the key provider PROVIDER.",
        (Argument("PROVIDER", "clusterId"),),
        "mark-default KMS",
    ),
    Verb(
        "generate-key",
        "GenerateKey",
        "Have a key made; prints its id.",
        (Argument("--provider", "keyProvider"),),
    ),
    Verb("keys", "ListKeys", "List the ids of all keys made here."),
    Verb(
        "events",
        "QueryEvents",
        "Show what was done with keys, and by whom.",
        (Argument("--limit", "limit", click.IntRange(1, 1000), 100),),
    ),
    Verb(
        "add-host",
        "AddHost",
        "Take a host into the inventory.",
        (
            Argument("NAME", "name"),
            Argument("ADDRESS", "address"),
            Argument("PORT", "port", _PORT),
        ),
        "add-host esx01 192.0.2.11 5989",
    ),
    Verb(
        "reconnect-host",
        "ReconnectHost",
        "Connect to a host again, and give it its keys.",
        (
            Argument("NAME", "name"),
            Argument("--address", "address"),
            Argument("--port", "port", _PORT),
        ),
        "reconnect-host esx01",
    ),
    Verb(
        "enable-encryption",
        "ConfigureCryptoKey",
        "Put a host into encryption mode with a host key.",
        (Argument("HOST", "host"),),
        "enable-encryption esx01",
    ),
    Verb(
        "create-vm",
        "CreateVM",
        "Make a plain machine with an empty disk of SIZE bytes.",
        (
            Argument("HOST", "host"),
            Argument("NAME", "name"),
            Argument("SIZE", "diskSize", click.IntRange(512)),
        ),
        "create-vm esx01 db1 10485760",
    ),
    Verb(
        "encrypt-vm",
        "EncryptVM",
        "Encrypt a machine with a new key of the default provider.",
        (Argument("NAME", "name"),),
        "encrypt-vm db1",
    ),
    Verb(
        "unlock-vm",
        "CryptoUnlock",
        "Give a locked machine's key to its host, and unlock it.",
        (Argument("NAME", "name"),),
        "unlock-vm db1",
    ),
    Verb("vms", "ListVMs", "List the machines, with their state and keys."),
)


def parameters(verb: Verb, given: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a call from the values of the command line."""
    result: dict[str, Any] = {}
    for argument in verb.arguments:
        value = given[argument.name]
        if value is None:
            continue
        *outer, last = argument.path.split(".")
        place = result
        for part in outer:
            place = place.setdefault(part, {})
        place[last] = value
    return result


def command(verb: Verb, prefix: str, call: Callable[..., None]) -> click.Command:
    """The click command of a verb; ``call`` gets the context, the verb and the parameters."""

    @click.pass_context
    def callback(context: click.Context, /, **given: Any) -> None:
        call(context, verb, parameters(verb, given))

    example = f"{prefix} {verb.example or verb.name}"
    return click.Command(
        verb.name,
        callback=callback,
        params=[_parameter(argument) for argument in verb.arguments],
        help=f"{verb.help}\n\n\b\nExample:\n  {example}",
        short_help=verb.help,
    )


def _parameter(argument: Argument) -> click.Parameter:
    if not argument.is_option:
        return click.Argument([argument.name], type=argument.type)
    return click.Option(
        [argument.declaration],
        type=argument.type,
        default=argument.default,
        show_default=argument.default is not None,
    )


def words(value: Any, indent: str = "") -> str:
    """An answer for people: a line per value, nested ones indented."""
    if isinstance(value, dict):
        return "\n".join(_member(name, inner, indent) for name, inner in value.items())
    if isinstance(value, list):
        return "\n".join(words(inner, indent) + "\n" for inner in value).rstrip("\n")
    return f"{indent}{_plain(value)}"


def _member(name: str, value: Any, indent: str) -> str:
    if isinstance(value, dict | list) and value:
        return f"{indent}{name}:\n{words(value, indent + '  ')}"
    return f"{indent}{name}: {_plain(value)}"


def _plain(value: Any) -> str:
    names = {None: "none", True: "yes", False: "no"}
    return names.get(value, str(value)) if not isinstance(value, dict | list) else "none"
