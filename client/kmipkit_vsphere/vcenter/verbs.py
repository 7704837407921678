"""The calls that administrators make from the command line: how a row of the table is a command.

The table is in :mod:`kmipkit_vsphere.vcenter.verb_table`. Each row is a subcommand: the method it
calls and where its arguments go in the parameters.
"""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click


class Argument(NamedTuple):
    """An argument or option of a subcommand; ``path`` is its place in the parameters."""

    declaration: str
    path: str
    type: Any = str
    default: Any = None
    help: str = ""

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


class Many(NamedTuple):
    """The type of an option that may be repeated, or of the last arguments."""

    type: Any


def _key_id(value: str) -> dict[str, str]:
    """PROVIDER/KEY, as lists of keys print them."""
    provider, separator, key = value.partition("/")
    if not separator or not provider or not key:
        raise click.BadParameter(f"{value!r} is not PROVIDER/KEY")
    return {"providerId": provider, "keyId": key}


def _pair(value: str) -> tuple[str, str]:
    """NAME=VALUE."""
    name, separator, text = value.partition("=")
    if not separator or not name:
        raise click.BadParameter(f"{value!r} is not NAME=VALUE")
    return name, text


def _text(data: bytes) -> str:
    return data.decode()


def _password(data: bytes) -> str:
    return data.decode().rstrip("\r\n")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _content(convert: Callable[[bytes], str]) -> Callable[[str], str]:
    """The conversion of a file's name into its content, as it is sent."""

    def read(value: str) -> str:
        try:
            return convert(Path(value).read_bytes())
        except (OSError, UnicodeDecodeError) as error:
            raise click.BadParameter(f"cannot read {value}: {error}") from error

    return read


def _type(name: str, convert: Callable[[str], object]) -> Any:
    """A click type from a function.

    A subclass of ``click.ParamType`` would have to name its value since click 8.4 and cannot
    before.
    """
    result = click.types.FuncParamType(convert)
    result.name = name
    return result


PORT = click.IntRange(1, 65535)
SIZE = click.IntRange(512)
KEY_ID = _type("provider/key", _key_id)
PAIR = _type("name=value", _pair)
TEXT_FILE = _type("file", _content(_text))
PASSWORD_FILE = _type("file", _content(_password))
BINARY_FILE = _type("file", _content(_base64))


def parameters(verb: Verb, given: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a call from the values of the command line."""
    result: dict[str, Any] = {}
    for argument in verb.arguments:
        value = given[argument.name]
        if isinstance(argument.type, Many):
            value = list(value)
            if argument.type.type is PAIR:
                value = dict(value)
        if value in (None, [], {}):
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
    many = isinstance(argument.type, Many)
    kind = argument.type.type if many else argument.type
    if not argument.is_option:
        nargs = -1 if many else 1
        return click.Argument([argument.name], type=kind, nargs=nargs, required=True)
    return click.Option(
        [argument.declaration],
        type=None if kind is bool else kind,
        is_flag=kind is bool,
        multiple=many,
        default=argument.default,
        show_default=argument.default is not None and kind is not bool,
        help=argument.help or None,
    )


def words(value: Any, indent: str = "") -> str:
    """An answer for people: a line per value, nested ones indented."""
    if isinstance(value, dict):
        return "\n".join(_member(name, inner, indent) for name, inner in value.items())
    if isinstance(value, list):
        apart = "\n\n" if any(isinstance(inner, dict) for inner in value) else "\n"
        return apart.join(words(inner, indent) for inner in value)
    return f"{indent}{_plain(value)}"


def _member(name: str, value: Any, indent: str) -> str:
    if isinstance(value, dict | list) and value:
        return f"{indent}{name}:\n{words(value, indent + '  ')}"
    return f"{indent}{name}: {_plain(value)}"


def _plain(value: Any) -> str:
    names = {None: "none", True: "yes", False: "no"}
    return names.get(value, str(value)) if not isinstance(value, dict | list) else "none"
