"""The rows as subcommands of ``kmipkit vcenter call``: values to requests, answers to text."""

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from kmipkit.terminal import printable
from kmipkit_vsphere.model.keys import CryptoKeyId
from kmipkit_vsphere.vcenter.command import Argument, Row

VERBOSE: Final = "kmipkit.verbose"
"""The entry of click's context that says whether ``--verbose`` was given."""


class Many(NamedTuple):
    """The type of an option that may be repeated, or of the last arguments."""

    type: Any


def _key_id(value: str) -> dict[str, str]:
    """PROVIDER/KEY, as lists of keys print them."""
    try:
        key_id = CryptoKeyId.parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return {"providerId": key_id.provider_id, "keyId": key_id.key_id}


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


def parameters(row: Row, values: dict[str, Any]) -> dict[str, Any]:
    """The members of a request, as JSON has them, from the values of the command line."""
    result: dict[str, Any] = {}
    for argument in row.arguments:
        value = values[argument.name]
        if isinstance(argument.type, Many):
            value = list(value)
            if argument.type.type is PAIR:
                value = dict(value)
        if value in (None, [], {}):
            continue
        *outer, last = argument.path.split(".")
        members = result
        for name in outer:
            members = members.setdefault(name, {})
        members[last] = value
    return result


def subcommand(row: Row, prefix: str, call: Callable[..., None]) -> click.Command:
    """The click command of a row; ``call`` gets the context, the row and the parameters."""

    @click.pass_context
    def callback(context: click.Context, /, **values: Any) -> None:
        context.meta[VERBOSE] = values.pop("verbose", False)
        call(context, row, parameters(row, values))

    example = f"{prefix} {row.example or row.command}"
    return click.Command(
        row.command,
        callback=callback,
        params=[*map(_parameter, row.arguments), *([_verbose()] if row.lines else [])],
        help=f"{row.help}\n\n\b\nExample:\n  {example}",
        short_help=row.help,
    )


def _verbose() -> click.Option:
    return click.Option(["--verbose"], is_flag=True, help="Print every value of the answer.")


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


def shown(context: click.Context, row: Row, answer: Any) -> str:
    """An answer for people: in short if the row says how, unless the user wants all of it."""
    if row.lines is None or context.meta.get(VERBOSE):
        return "" if answer in (None, [], {}) else text(answer)
    return "\n".join(row.lines(answer))


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A line for each row, with its cells in columns; line ends in a cell are escaped."""
    cells = [[printable(cell) or "-" for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def text(value: Any, indent: str = "") -> str:
    """An answer for people: a line per value, nested ones indented."""
    if isinstance(value, dict):
        return "\n".join(_member(name, inner, indent) for name, inner in value.items())
    if isinstance(value, list | tuple):
        apart = "\n\n" if any(isinstance(inner, dict) for inner in value) else "\n"
        return apart.join(text(inner, indent) for inner in value)
    return f"{indent}{_plain(value)}"


def _member(name: str, value: Any, indent: str) -> str:
    if isinstance(value, dict | list | tuple) and value:
        return f"{indent}{printable(name)}:\n{text(value, indent + '  ')}"
    return f"{indent}{printable(name)}: {_plain(value)}"


def _plain(value: Any) -> str:
    """A value on one line; line ends in it must not look like further values."""
    if value is None or isinstance(value, dict | list | tuple):
        return "none"
    if isinstance(value, bool):  # not by equality: 1 and 0 are numbers
        return "yes" if value else "no"
    return printable(str(value))
