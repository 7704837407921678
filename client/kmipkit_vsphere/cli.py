"""``kmipkit vcenter``, ``kmipkit host`` and ``kmipkit demo``."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kmipkit_vsphere.vcenter.verb_table import VCENTER_VERBS
from kmipkit_vsphere.vcenter.verbs import PASSWORD_FILE, Verb, command, words

if TYPE_CHECKING:
    from kmipkit_vsphere.rpc.tls import Credentials

FILE = click.Path(path_type=Path)
F = TypeVar("F", bound=Callable[..., Any])
STORY_NAMES = ("standard", "trusted", "native", "vsan", "key-loss", "rebuild-vcenter")


def certificate_options(function: F) -> F:
    """``--cert``, ``--key`` and ``--ca``."""
    for name, text in (
        ("--ca", "Authorities of the other roles, PEM."),
        ("--key", "Private key of the certificate, PEM."),
        ("--cert", "Own certificate, PEM."),
    ):
        function = click.option(name, type=FILE, required=True, help=text)(function)
    return function


def listen_options(function: F) -> F:
    """``--listen`` and ``--port``."""
    port = click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True)
    listen = click.option("--listen", default="127.0.0.1", show_default=True, help="Address.")
    return listen(port(function))


def _credentials(cert: Path, key: Path, ca: Path) -> "Credentials":
    from kmipkit_vsphere.rpc.tls import Credentials

    return Credentials(cert, key, ca)


@click.group()
def vcenter() -> None:
    """The vCenter role: alone speaks to key servers, keeps key ids and never keys.

    \b
    Examples:
      kmipkit vcenter serve --data-dir vc --cert vc.crt --key vc.key --ca roles-ca.crt \\
          --kms-cert kmip.crt --kms-key kmip.key --kms-ca kms-ca.crt --port 5989
      kmipkit vcenter call --vcenter 127.0.0.1:5989 --cert me.crt --key me.key --ca ca.crt vms
    """


@vcenter.command("serve")
@click.option("--data-dir", type=FILE, required=True, help="Where the inventory is kept.")
@listen_options
@certificate_options
@click.option(
    "--kms-cert", type=FILE, help="Certificate as a KMIP client, for providers without their own."
)
@click.option("--kms-key", type=FILE, help="Private key of that, PEM.")
@click.option("--kms-ca", type=FILE, help="Authorities of the key servers, PEM.")
@click.option(
    "--administrator",
    multiple=True,
    default=("administrator",),
    show_default=True,
    help="Name in the certificate of who may do everything; may be repeated.",
)
def vcenter_serve(
    data_dir: Path,
    listen: str,
    port: int,
    cert: Path,
    key: Path,
    ca: Path,
    kms_cert: Path | None,
    kms_key: Path | None,
    kms_ca: Path | None,
    administrator: tuple[str, ...],
) -> None:
    """Run the vCenter role until SIGTERM or Ctrl-C.

    \b
    Example:
      kmipkit vcenter serve --data-dir vc --cert vc.crt --key vc.key --ca roles-ca.crt \\
          --kms-cert kmip.crt --kms-key kmip.key --kms-ca kms-ca.crt
    """
    from kmipkit_vsphere import service

    given = [one for one in (kms_cert, kms_key, kms_ca) if one is not None]
    if given and len(given) < 3:
        raise click.UsageError("--kms-cert, --kms-key and --kms-ca go together")
    kms = _credentials(*given) if given else None
    listening = service.for_users((listen, port), _credentials(cert, key, ca))
    service.run_vcenter(data_dir, listening, kms, administrator, click.echo)


@vcenter.group("call")
@click.option("--vcenter", "where", required=True, metavar="HOST:PORT", help="Where it listens.")
@click.option("--name", default="vcenter", show_default=True, help="Name in its certificate.")
@certificate_options
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
@click.pass_context
def vcenter_call(
    context: click.Context, where: str, name: str, cert: Path, key: Path, ca: Path, as_json: bool
) -> None:
    """Give an order to a vCenter.

    \b
    Examples:
      kmipkit vcenter call --vcenter 127.0.0.1:5989 --cert me.crt --key me.key --ca ca.crt vms
      kmipkit vcenter call ... --json events
    """
    address = _host_and_port(where, "--vcenter")
    context.obj = (address, name, _credentials(cert, key, ca), as_json)


def _host_and_port(where: str, option: str) -> tuple[str, int]:
    host, separator, port = where.rpartition(":")
    if not separator or not port.isdecimal():
        raise click.BadParameter(f"{where!r} is not HOST:PORT", param_hint=option)
    return host.strip("[]"), int(port)


def _ask(context: click.Context, method: str, params: dict[str, Any]) -> Any:
    import trio

    from kmipkit_vsphere.rpc import channel as rpc

    address, name, credentials, _ = context.obj

    async def call() -> Any:
        async with await rpc.connect(address, name, credentials) as client:
            return await client.call(method, params)

    # Ctrl-C only where the task waits: inside a callback of TLS it would be lost.
    return trio.run(call, restrict_keyboard_interrupt_to_checkpoints=True)


def _call(context: click.Context, verb: Verb, params: dict[str, Any]) -> None:
    answer = _ask(context, verb.method, params)
    as_json = context.obj[3]
    if isinstance(answer, str) and not as_json:
        click.echo(answer.rstrip("\n"))
    elif as_json:
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    elif answer not in (None, [], {}):
        click.echo(words(answer))


for _verb in VCENTER_VERBS:
    vcenter_call.add_command(command(_verb, "kmipkit vcenter call ...", _call))


@vcenter_call.command("export-provider")
@click.argument("provider")
@click.argument("file", type=FILE)
@click.option("--password-file", type=PASSWORD_FILE, help="Holds the password of the backup.")
@click.pass_context
def export_provider(
    context: click.Context, provider: str, file: Path, password_file: str | None
) -> None:
    """Back up a native key provider: write a PKCS#12 file, mode 0600.

    \b
    Example:
      kmipkit vcenter call ... export-provider NKP NKP.p12 --password-file secret
    """
    import base64

    from kmipkit_certs.files import write_new

    if file.exists():
        raise click.BadParameter(f"{file} exists already", param_hint="FILE")
    params = {"provider": provider} | ({"password": password_file} if password_file else {})
    prepared = _ask(context, "ExportProvider", params)
    if prepared["warning"]:
        click.echo(f"warning: {prepared['warning']}", err=True)
    token = prepared["location"]["downloadToken"]["token"]
    data = base64.b64decode(_ask(context, "DownloadBackup", {"token": token}))
    write_new(file, data, 0o600)
    click.echo(f"wrote {file}; the key provider {provider} is backed up")


@click.group()
def host() -> None:
    """The ESXi-host role: is given keys by vCenter, keeps them in memory, encrypts machines.

    \b
    Example:
      kmipkit host serve --name esx01 --data-dir esx01 --cert esx01.crt --key esx01.key --ca ca.crt
    """


@host.command("serve")
@click.option("--name", required=True, help="Name of the host, as in its certificate.")
@click.option("--data-dir", type=FILE, required=True, help="Where its datastore is.")
@listen_options
@certificate_options
@click.option(
    "--manager",
    multiple=True,
    default=("vcenter",),
    show_default=True,
    help="Name in the certificate of the vCenter that brings keys; may be repeated.",
)
@click.option(
    "--guest", multiple=True, help="Name of who may read and write disks; may be repeated."
)
@click.option("--tpm", help="Its TPM 2.0, such as swtpm:host=127.0.0.1,port=2321.")
@click.option("--image", type=FILE, help="Manifest of what it boots, measured into the TPM.")
def host_serve(
    name: str,
    data_dir: Path,
    listen: str,
    port: int,
    cert: Path,
    key: Path,
    ca: Path,
    manager: tuple[str, ...],
    guest: tuple[str, ...],
    tpm: str | None,
    image: Path | None,
) -> None:
    """Run an ESXi-host role until SIGTERM or Ctrl-C. It forgets all keys when it ends.

    \b
    Example:
      kmipkit host serve --name esx01 --data-dir esx01 --cert esx01.crt --key esx01.key \\
          --ca roles-ca.crt --guest guest
    """
    from kmipkit_vsphere import service

    listening = service.Listening(
        (listen, port), _credentials(cert, key, ca), service.host_callers(manager, guest)
    )
    if (tpm is None) != (image is None):
        raise click.UsageError("--tpm and --image go together")
    boot = service.Boot(tpm, image) if tpm is not None and image is not None else None
    service.run_host(name, data_dir, listening, click.echo, boot)


@click.group("trust-authority")
def trust_authority() -> None:
    """The Trust Authority host: attests hosts, and gives keys to attested ones only.

    \b
    Example:
      kmipkit trust-authority serve --name ta1 --data-dir ta1 --cert ta1.crt --key ta1.key --ca ca.crt
    """


@trust_authority.command("serve")
@click.option("--name", required=True, help="Name of the host, as in its certificate.")
@click.option("--data-dir", type=FILE, required=True, help="Where its configuration is kept.")
@listen_options
@click.option(
    "--service-port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="For trusted hosts; --port is for the vCenter of the trust authority.",
)
@certificate_options
@click.option(
    "--manager",
    multiple=True,
    default=("vcenter",),
    show_default=True,
    help="Name in the certificate of the vCenter that configures it; may be repeated.",
)
def trust_authority_serve(
    name: str,
    data_dir: Path,
    listen: str,
    port: int,
    service_port: int,
    cert: Path,
    key: Path,
    ca: Path,
    manager: tuple[str, ...],
) -> None:
    """Run an Attestation Service and a Key Provider Service until SIGTERM or Ctrl-C.

    \b
    Example:
      kmipkit trust-authority serve --name ta1 --data-dir ta1 --cert ta1.crt --key ta1.key \\
          --ca ta-roles-ca.crt --manager ta-vcenter
    """
    from kmipkit_vsphere import service

    callers = service.trust_authority_callers(manager)
    listening = service.Listening((listen, port), _credentials(cert, key, ca), callers)
    service.run_trust_authority(name, data_dir, listening, service_port, click.echo)


@host.command("export-disk")
@click.argument("machine")
@click.option("--host", "where", required=True, metavar="HOST:PORT", help="Where it listens.")
@click.option("--name", required=True, help="Name of the host, as in its certificate.")
@click.option("--disk", type=click.IntRange(0, 14), default=0, show_default=True)
@click.option("--socket", type=FILE, help="Unix socket for clients.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port on 127.0.0.1 for clients.")
@click.option("--readonly", is_flag=True, help="Refuse writes.")
@certificate_options
def export_disk(
    machine: str,
    where: str,
    name: str,
    disk: int,
    socket: Path | None,
    port: int | None,
    readonly: bool,
    cert: Path,
    key: Path,
    ca: Path,
) -> None:
    """Offer a disk of an unlocked machine as a network block device, through nbdkit.

    What clients see is plain text, what lies on the datastore stays ciphertext. The certificate is
    one of a guest of the host.

    \b
    Examples:
      kmipkit host export-disk db1 --host 127.0.0.1:5989 --name esx01 --socket /run/db1.sock \\
          --cert guest.crt --key guest.key --ca roles-ca.crt
      qemu-img convert nbd+unix:///?socket=/run/db1.sock db1.raw
    """
    from kmipkit_vsphere.nbd.export import Export, run

    if (socket is None) == (port is None):
        raise click.UsageError("give either --socket or --port")
    address = _host_and_port(where, "--host")
    files = _credentials(cert, key, ca)
    status = run(Export(name, address, files, machine, disk, socket, port, readonly))
    if status:
        raise click.exceptions.Exit(status)


@click.command()
@click.argument("story", type=click.Choice(list(STORY_NAMES)), default="standard")
@click.option(
    "--keep",
    type=FILE,
    help="Leave everything in this new directory, to look at it.  [default: a temporary one]",
)
def demo(story: str, keep: Path | None) -> None:
    """Play a story of machine encryption, whole, on this machine.

    \b
      standard         keys of a key server; key server and host are killed on the way
      trusted          attested hosts get keys from a Key Provider Service; needs swtpm
      native           no key server; vCenter is killed, the host reboots, and goes on
      vsan             hosts fetch their key themselves; a drill with 200 hosts
      key-loss         a key is deactivated on the key server: who notices, and the way back
      rebuild-vcenter  vCenter is lost with its store; a new one serves the machines

    All roles are processes of their own, with TLS between them on loopback. Exit status 0 only if
    everything was as it should be.

    \b
    Examples:
      kmipkit demo
      kmipkit demo native --keep /tmp/kmipkit-demo
    """
    from kmipkit_vsphere.demo.stage import play
    from kmipkit_vsphere.demo.stories import STORIES

    play(STORIES[story], keep, click.echo)
