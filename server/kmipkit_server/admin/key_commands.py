"""``kmipkit admin keys``: the root key and the data keys, and their rotation."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kmipkit.terminal import echo, write_escaped
from kmipkit_server.admin.online import changing_options, reading_options
from kmipkit_server.admin.options import json_option

if TYPE_CHECKING:
    from kmipkit_server.admin.connection import AdminConnection
    from kmipkit_server.admin.online import Source, Target
    from kmipkit_server.vault.uri import RootKeyURI

POLL_SECONDS = 0.25
"""Between two questions how far a rotation is."""

no_wait_option = click.option(
    "--no-wait", is_flag=True, help="Return when it has begun; keys list shows how far it is."
)


@click.group()
def keys() -> None:
    """Show and rotate the keys that protect the store: root key and data keys.

    \b
    Examples:
      kmipkit admin keys list
      kmipkit admin keys create "pkcs11:token=kms;object=root?pin-source=file:/etc/kms.pin"
      kmipkit admin keys rotate-root --to file:/etc/kmipkit/root-2.key
      kmipkit admin keys rotate-data
    """


@keys.command("list")
@reading_options
@json_option
def list_keys(source: "Source", as_json: bool) -> None:
    """List the root keys that the store needs, and show the rotation in progress.

    There is one root key, or two while it is rotated. Its identifier is the same wherever it is.

    \b
    Examples:
      kmipkit admin keys list
      kmipkit admin keys list --data-dir kms --json
    """
    from kmipkit_server.admin.tables import print_json, print_table

    answer = source.get("/keys")
    if as_json:
        print_json([answer])
        return
    print_table(
        ("ROOT KEY", "KIND", "DATA KEYS", "PLACE"),
        [
            (each["identifier"], each["kind"], str(each["data_keys"]), each["place"])
            for each in answer["root_keys"]
        ],
    )
    echo(f"data keys: {answer['data_keys']}, sealed objects: {answer['sealed']}")
    rotation = answer["rotation"]
    if rotation is not None:
        echo(f"{_TITLES[rotation['kind']]}: {_done(rotation)}")
        if rotation["problem"]:
            echo(f"it does not go on: {rotation['problem']}", err=True)


def _parsed(_context: click.Context, _parameter: click.Parameter, uri: str) -> "RootKeyURI":
    from kmipkit_server.vault import kinds

    try:
        return kinds.parse(uri, Path.cwd())
    except ValueError as error:
        raise click.UsageError(f"the URI {error}") from None


@keys.command()
@click.argument("uri", callback=_parsed)
def create(uri: "RootKeyURI") -> None:
    """Make a new root key at URI: in a PKCS #11 token, or in a file.

    In a token, it is an AES-256 key that cannot leave it. Nothing uses it until it is the root_key of a
    new server, or until rotate-root.

    \b
    Examples:
      kmipkit admin keys create file:/etc/kmipkit/root.key
      kmipkit admin keys create \\
          "pkcs11:token=kms;object=root?module-path=/usr/lib/softhsm/libsofthsm2.so"
    """
    from kmipkit_server.vault import kinds
    from kmipkit_server.vault.errors import VaultError

    try:
        kinds.create_root_key(uri)
    except VaultError as error:
        raise click.ClickException(str(error)) from None
    echo(f"new root key: {uri}")


@keys.command()
@changing_options
@click.option(
    "--to",
    "uri",
    required=True,
    callback=_parsed,
    metavar="URI",
    help="Where the new root key is.",
)
@no_wait_option
@json_option
def rotate_root(target: "Target", uri: "RootKeyURI", no_wait: bool, as_json: bool) -> None:
    """Replace the root key by the one at URI, of the same or of another kind.

    Clients are served meanwhile, and an interrupted rotation goes on by itself at the next start, with
    either of the two root keys. At its end, the old one opens nothing any more. If URI is a file that
    does not exist, a new root key is made in it.

    \b
    Examples:
      kmipkit admin keys rotate-root --to file:/etc/kmipkit/root-2.key
      kmipkit admin keys rotate-root --to \\
          "pkcs11:token=kms;object=root?pin-source=file:/etc/kms.pin" --data-dir kms
      kmipkit admin keys rotate-root --to passphrase: --data-dir kms
    """
    _rotate(target, "/keys/root/rotate", no_wait, as_json, to=str(uri))
    if not as_json and not no_wait:
        echo(f'the next start needs it: set root_key = "{uri}" in [store]')


@keys.command()
@changing_options
@no_wait_option
@json_option
def rotate_data(target: "Target", no_wait: bool, as_json: bool) -> None:
    """Seal all objects again with new data keys, and destroy the old ones.

    Clients are served meanwhile, and an interrupted rotation goes on by itself at the next start.

    \b
    Examples:
      kmipkit admin keys rotate-data
      kmipkit admin keys rotate-data --data-dir kms --json
    """
    _rotate(target, "/keys/data/rotate", no_wait, as_json)


_TITLES = {"root": "rotating the root key", "data": "rotating the data keys"}
_UNITS = {"root": "data key", "data": "object"}


def _rotate(target: "Target", path: str, no_wait: bool, as_json: bool, **body: str) -> None:
    """Begin a rotation and follow it to its end."""
    from kmipkit_server.admin.connection import AdminConnection
    from kmipkit_server.admin.stopped import StoppedServer

    report = _reporter(as_json)
    if isinstance(target, StoppedServer):
        done = 0

        def progress(step: Any) -> None:
            nonlocal done
            done += step.done
            remaining = max(0, step.rotation.total - done)
            report(
                {"kind": step.rotation.kind, "total": step.rotation.total, "remaining": remaining}
            )

        target.progress = progress
    answer = target.send("POST", path, **body)
    if isinstance(target, AdminConnection) and not no_wait:
        answer = _followed(target, answer, report)
    _print_end(answer, as_json)


def _followed(
    connection: "AdminConnection", answer: dict[str, Any], report: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """The keys after the rotation. ClickException if something prevents that it goes on."""
    while (rotation := answer["rotation"]) is not None:
        report(rotation)
        if rotation["problem"]:
            raise click.ClickException(
                f"{_TITLES[rotation['kind']]} does not go on: {rotation['problem']}"
            )
        time.sleep(POLL_SECONDS)
        answer = connection.get("/keys")
    return answer


def _reporter(as_json: bool) -> Callable[[dict[str, Any]], None]:
    """Shows progress: as JSON, one object a line, or on a terminal."""
    import sys

    from kmipkit_server.admin.tables import print_json

    def report(rotation: dict[str, Any]) -> None:
        if as_json:
            print_json([{"rotation": rotation}])
            sys.stdout.flush()
        elif sys.stderr.isatty():
            write_escaped(f"\r{_TITLES[rotation['kind']]}: {_done(rotation)}", err=True)

    return report


def _print_end(answer: dict[str, Any], as_json: bool) -> None:
    import sys

    from kmipkit_server.admin.tables import print_json

    if as_json:
        print_json([answer])
        return
    if sys.stderr.isatty():
        write_escaped("\n", err=True)
    if answer["rotation"] is not None:
        echo(f"{_TITLES[answer['rotation']['kind']]}: {_done(answer['rotation'])}")
        return
    for each in answer["root_keys"]:
        echo(
            f"root key {each['identifier']} at {each['place']},"
            f" {_number(each['data_keys'], 'data key')}"
        )


def _done(rotation: dict[str, Any]) -> str:
    done = rotation["total"] - rotation["remaining"]
    return f"{done} of {_number(rotation['total'], _UNITS[rotation['kind']])} done"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
