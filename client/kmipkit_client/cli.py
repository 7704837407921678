"""``kmipkit client``: the operations of KMIP from the command line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from kmipkit_certs.options import password_option

from kmipkit.terminal import echo, echo_json, write_data
from kmipkit_client.errors import ClientError
from kmipkit_client.payload_commands import ClientGroup

if TYPE_CHECKING:
    from kmipkit_client import Client

FILE = click.Path(path_type=Path)
F = TypeVar("F", bound=Callable[..., Any])
VERSIONS = ["1.0", "1.1", "1.2", "1.3", "1.4", "2.0", "2.1", "3.0"]

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
name_option = click.option("--name", help="Name of the object.")


def attribute_option(function: F) -> F:
    """``--attribute NAME=VALUE``."""
    return click.option(
        "--attribute",
        "attributes",
        multiple=True,
        metavar="NAME=VALUE",
        help="Attribute, by its standard name, or x-NAME for a custom attribute; may be repeated.",
    )(function)


@click.group(cls=ClientGroup)
@click.option(
    "--server",
    default="127.0.0.1:5696",
    show_default=True,
    envvar="KMIPKIT_SERVER",
    metavar="HOST:PORT",
    help="Address of the key server, or https://HOST:PORT/PATH; several with commas between them.",
)
@click.option("--ca", type=FILE, envvar="KMIPKIT_CA", help="Certificate authorities of the server.")
@click.option(
    "--cert", type=FILE, envvar="KMIPKIT_CERT", help="Client certificate, PEM or PKCS #12."
)
@click.option(
    "--key",
    type=FILE,
    envvar="KMIPKIT_KEY",
    help="Private key of the client, if the file of the certificate does not have it.",
)
@password_option
@click.option(
    "--kmip",
    type=click.Choice(VERSIONS),
    help="Protocol version.  [default: newest version that both sides support]",
)
@click.option("--timeout", default=30.0, show_default=True, help="Seconds to wait for a response.")
@click.pass_context
def client(
    context: click.Context,
    server: str,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
    key_password_file: Path | None,
    kmip: str | None,
    timeout: float,
) -> None:
    """Send requests to a KMIP server.

    The environment variables KMIPKIT_SERVER, KMIPKIT_CA, KMIPKIT_CERT and KMIPKIT_KEY set the
    defaults of the options; KMIPKIT_KEY_PASSWORD is the password of an encrypted key.

    \b
    Examples:
      export KMIPKIT_CA=kmipkit-data/certs/ca.crt
      export KMIPKIT_CERT=kmipkit-data/certs/admin.crt KMIPKIT_KEY=kmipkit-data/certs/admin.key
      kmipkit client create --name "backup 2026"
      kmipkit client locate --name "backup 2026"
      kmipkit client get IDENTIFIER --out backup.key
      kmipkit client --server kms1,kms2:5697 ping
    """
    servers = [address.strip() for address in server.split(",")]

    def connect() -> "Client":
        from kmipkit_certs.passwords import from_command_line

        from kmipkit.spec.versions import Version
        from kmipkit_client import Client
        from kmipkit_client.endpoints import endpoints
        from kmipkit_client.tls import tls_context

        try:
            endpoints(servers)
        except ClientError as error:
            raise click.BadParameter(str(error), param_hint="--server") from None
        version = Version(*map(int, kmip.split("."))) if kmip else None
        return Client(
            servers,
            context=tls_context(ca, cert, key, from_command_line(key_password_file)),
            version=version,
            timeout=timeout,
        )

    context.obj = connect


def command(name: str) -> Callable[[F], click.Command]:
    """A subcommand whose function takes an open client as first argument."""

    def decorate(function: F) -> click.Command:
        @click.pass_obj
        def run(connect: Callable[[], "Client"], /, **arguments: Any) -> Any:
            with connect() as kmip_client:
                return function(kmip_client, **arguments)

        run.__doc__ = function.__doc__
        run.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]  # read by click
        return client.command(name)(run)

    return decorate


def _parse_attributes(attributes: tuple[str, ...]) -> dict[str, Any]:
    """Attributes from the command line, with values of their types."""
    from kmipkit_client.parsing import parse_attributes

    if malformed := [text for text in attributes if "=" not in text]:
        raise click.BadParameter(f"{malformed[0]!r} is not NAME=VALUE", param_hint="--attribute")
    return parse_attributes(attributes)


def _parse_usage(names: str) -> Any:
    from kmipkit_client.parsing import usage_mask

    return usage_mask(names)


def _show(value: Any, as_json: bool) -> None:
    from kmipkit_client.parsing import format_lines

    if as_json:
        echo_json(value)
    else:
        for line in format_lines(value):
            echo(line)


@command("discover")
@json_option
def discover(kmip_client: "Client", as_json: bool) -> None:
    """List the protocol versions that the server supports, preferred first.

    \b
    Example:
      kmipkit client discover
    """
    _show([str(version) for version in kmip_client.discover_versions()], as_json)


@command("query")
@json_option
def query(kmip_client: "Client", as_json: bool) -> None:
    """Show the vendor, operations and object types of the server.

    \b
    Example:
      kmipkit client query --json
    """
    response = kmip_client.query()
    data = {
        "vendor": response.vendor_identification,
        "operations": [operation.name for operation in response.operations],
        "object types": [object_type.name for object_type in response.object_types],
    }
    _show(data, as_json)


@command("create")
@click.option("--algorithm", default="AES", show_default=True, help="Cryptographic Algorithm.")
@click.option("--length", default=256, show_default=True, help="Length in bits.")
@click.option(
    "--usage", default="ENCRYPT,DECRYPT", show_default=True, help="Cryptographic Usage Mask."
)
@name_option
@attribute_option
def create(
    kmip_client: "Client",
    algorithm: str,
    length: int,
    usage: str,
    name: str | None,
    attributes: tuple[str, ...],
) -> None:
    """Create a symmetric key in the server, and print its Unique Identifier.

    \b
    Examples:
      kmipkit client create --name "backup 2026" --attribute x-Owner=storage
      kmipkit client create --length 128 --usage WRAP_KEY,UNWRAP_KEY
    """
    from kmipkit_client.parsing import algorithm_of

    identifier = kmip_client.create(
        algorithm_of(algorithm),
        length,
        usage=_parse_usage(usage),
        name=name,
        attributes=_parse_attributes(attributes),
    )
    echo(identifier)


@command("register")
@click.argument("object_type", type=click.Choice(["key", "secret", "certificate", "opaque"]))
@click.argument("file", type=click.File("rb"))
@click.option(
    "--algorithm", default="AES", show_default=True, help="Cryptographic Algorithm of a key."
)
@click.option("--usage", help="Cryptographic Usage Mask.  [default: ENCRYPT,DECRYPT for keys]")
@name_option
@attribute_option
def register(
    kmip_client: "Client",
    object_type: str,
    file: Any,
    algorithm: str,
    usage: str | None,
    name: str | None,
    attributes: tuple[str, ...],
) -> None:
    """Register the bytes of FILE (- for standard input), and print the Unique Identifier.

    \b
    Examples:
      kmipkit client register key disk.key --name disk1
      printf %s "$PASSWORD" | kmipkit client register secret -
      kmipkit client register certificate server.der
    """
    from kmipkit_client import parsing, values

    data = file.read()
    if not data:
        name = getattr(file, "name", "the input")
        raise click.ClickException(f"{name} is empty: there is nothing to register")
    constructors: dict[str, Callable[[], Any]] = {
        "key": lambda: values.symmetric_key(data, parsing.algorithm_of(algorithm)),
        "secret": lambda: values.secret_data(data),
        "certificate": lambda: values.certificate(data),
        "opaque": lambda: values.opaque_object(data),
    }
    mask = usage or ("ENCRYPT,DECRYPT" if object_type == "key" else None)
    identifier = kmip_client.register(
        constructors[object_type](),
        usage=_parse_usage(mask) if mask else None,
        name=name,
        attributes=_parse_attributes(attributes),
    )
    echo(identifier)


@command("get")
@click.argument("identifier")
@click.option("--out", type=FILE, help="Write the bytes to this new file, which only you can read.")
@click.option("--show", is_flag=True, help="Print the bytes in hexadecimal.")
def get(kmip_client: "Client", identifier: str, out: Path | None, show: bool) -> None:
    """Get an object, and write its bytes to a file or print them.

    \b
    Examples:
      kmipkit client get IDENTIFIER --out disk.key
      kmipkit client get IDENTIFIER --show
    """
    from kmipkit_client.parsing import write_secret
    from kmipkit_client.values import material

    value = kmip_client.get(identifier)
    data = material(value)
    if out is not None:
        write_secret(out, data)
    if show:
        echo(data.hex())
    elif out is None:
        echo(f"{type(value).__name__}, {len(data)} bytes (use --out FILE or --show to get them)")


@command("locate")
@name_option
@attribute_option
@click.option("--maximum", type=click.IntRange(0), help="Maximum number of objects.")
@click.option("--offset", type=click.IntRange(0), help="Number of objects to skip (1.3 and later).")
@json_option
def locate(
    kmip_client: "Client",
    name: str | None,
    attributes: tuple[str, ...],
    maximum: int | None,
    offset: int | None,
    as_json: bool,
) -> None:
    """Find objects by their attributes, and print their identifiers, newest first.

    \b
    Examples:
      kmipkit client locate --name disk1
      kmipkit client locate --attribute State=ACTIVE --attribute x-Owner=storage --maximum 10
    """
    located = kmip_client.locate(
        name=name, attributes=_parse_attributes(attributes), maximum=maximum, offset=offset
    )
    _show(list(located.ids), as_json)


@command("attributes")
@click.argument("identifier")
@click.argument("names", nargs=-1)
@json_option
def attributes_(
    kmip_client: "Client", identifier: str, names: tuple[str, ...], as_json: bool
) -> None:
    """Show the given attributes of an object, or all.

    \b
    Examples:
      kmipkit client attributes IDENTIFIER
      kmipkit client attributes IDENTIFIER State x-Owner
    """
    from kmipkit_client.parsing import attribute_data, require_attribute

    for name in names:
        require_attribute(name)
    _show(attribute_data(kmip_client.get_attributes(identifier, *names)), as_json)


@command("add-attribute")
@click.argument("identifier")
@click.argument("attributes", nargs=-1, required=True, metavar="NAME=VALUE...")
def add_attribute(kmip_client: "Client", identifier: str, attributes: tuple[str, ...]) -> None:
    """Add attributes to an object.

    \b
    Example:
      kmipkit client add-attribute IDENTIFIER x-Owner=storage "Contact Information=ext. 4711"
    """
    for name, instances in _parse_attributes(attributes).items():
        for value in instances:
            kmip_client.add_attribute(identifier, name, value)


@command("activate")
@click.argument("identifier")
def activate(kmip_client: "Client", identifier: str) -> None:
    """Activate an object.

    \b
    Example:
      kmipkit client activate IDENTIFIER
    """
    kmip_client.activate(identifier)


@command("revoke")
@click.argument("identifier")
@click.option("--reason", default="UNSPECIFIED", show_default=True, help="Revocation Reason Code.")
@click.option("--message", help="Revocation Message.")
def revoke(kmip_client: "Client", identifier: str, reason: str, message: str | None) -> None:
    """Revoke an object: deactivate it, or report it compromised.

    \b
    Examples:
      kmipkit client revoke IDENTIFIER --reason CESSATION_OF_OPERATION
      kmipkit client revoke IDENTIFIER --reason KEY_COMPROMISE --message "laptop stolen"
    """
    from kmipkit_client.parsing import reason_of

    kmip_client.revoke(identifier, reason_of(reason), message)


@command("destroy")
@click.argument("identifier")
def destroy(kmip_client: "Client", identifier: str) -> None:
    """Destroy the key material of an object irrevocably.

    \b
    Example:
      kmipkit client destroy IDENTIFIER
    """
    kmip_client.destroy(identifier)


@command("encrypt")
@click.argument("identifier")
@click.argument("file", type=click.File("rb"), default="-")
def encrypt(kmip_client: "Client", identifier: str, file: Any) -> None:
    """Encrypt FILE with an AES key of the server, in GCM mode (1.4 and later).

    The output is JSON with IV, tag and ciphertext, which the command decrypt reads.

    \b
    Example:
      kmipkit client encrypt IDENTIFIER secret.txt > secret.json
    """
    from kmipkit_client.values import GCM

    encrypted = kmip_client.encrypt(identifier, file.read(), parameters=GCM)
    parts = {"iv": encrypted.iv, "tag": encrypted.tag, "data": encrypted.data}
    echo(json.dumps({name: part.hex() if part else "" for name, part in parts.items()}))


@command("decrypt")
@click.argument("identifier")
@click.argument("file", type=click.File("rb"), default="-")
def decrypt(kmip_client: "Client", identifier: str, file: Any) -> None:
    """Decrypt the output of the command encrypt, and write the data to standard output.

    \b
    Example:
      kmipkit client decrypt IDENTIFIER secret.json
    """
    from kmipkit_client.values import GCM

    try:
        parts = {name: bytes.fromhex(text) for name, text in json.load(file).items()}
        iv, tag, data = parts["iv"], parts["tag"], parts["data"]
    except (ValueError, KeyError, AttributeError, TypeError):
        raise click.ClickException(
            f"{file.name}: not the output of kmipkit client encrypt"
        ) from None
    write_data(kmip_client.decrypt(identifier, data, parameters=GCM, iv=iv, tag=tag))
