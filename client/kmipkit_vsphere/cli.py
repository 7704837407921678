"""``kmipkit vcenter``, ``kmipkit host``, ``kmipkit trust-authority`` and ``kmipkit demo``."""

import json
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import click
from kmipkit_certs.options import password_option

if TYPE_CHECKING:
    from kmipkit_vsphere.rpc.call import Request
    from kmipkit_vsphere.rpc.tls import Credentials
    from kmipkit_vsphere.vcenter.command import Row

FILE = click.Path(path_type=Path)
A = TypeVar("A")
F = TypeVar("F", bound=Callable[..., Any])
STORY_NAMES = ("standard", "trusted", "native", "vsan", "key-loss", "rebuild-vcenter")


def certificate_options(function: F) -> F:
    """``--cert``, ``--key``, ``--key-password-file`` and ``--ca``."""
    for name, is_required, text in (
        ("--ca", True, "Authorities of the other roles."),
        ("--key", False, "Private key, if the file of the certificate has none."),
        ("--cert", True, "Own certificate, PEM or PKCS #12."),
    ):
        function = click.option(name, type=FILE, required=is_required, help=text)(function)
    return password_option(function)


def listen_options(function: F) -> F:
    """``--listen`` and ``--port``."""
    port = click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True)
    listen = click.option("--listen", default="127.0.0.1", show_default=True, help="Address.")
    return listen(port(function))


def _credentials(
    cert: Path, key: Path | None, ca: Path, password_file: Path | None
) -> "Credentials":
    from kmipkit_certs.passwords import from_command_line

    from kmipkit_vsphere.rpc.tls import Credentials

    return Credentials(cert, key, ca, from_command_line(password_file))


@click.group()
def vcenter() -> None:
    """The vCenter role: calls the key servers, and stores the ids of keys but never keys.

    \b
    Examples:
      kmipkit vcenter serve --data-dir vc --cert vc.crt --key vc.key --ca roles-ca.crt \\
          --kms-cert kmip.crt --kms-key kmip.key --kms-ca kms-ca.crt --port 5989
      kmipkit vcenter call --vcenter 127.0.0.1:5989 --cert me.crt --key me.key --ca ca.crt vms
    """


@vcenter.command("serve")
@click.option("--data-dir", type=FILE, required=True, help="Directory for the inventory.")
@listen_options
@certificate_options
@click.option(
    "--kms-cert", type=FILE, help="KMIP client certificate, for providers without their own."
)
@click.option("--kms-key", type=FILE, help="Private key, if the file of that certificate has none.")
@click.option(
    "--kms-key-password-file", type=FILE, help="As --key-password-file, for that private key."
)
@click.option("--kms-ca", type=FILE, help="Authorities of the key servers.")
@click.option(
    "--administrator",
    multiple=True,
    default=("administrator",),
    show_default=True,
    help="Name in the certificate of an administrator; may be repeated.",
)
@click.option(
    "--poll-interval",
    type=click.FloatRange(1, 86400),
    default=300.0,
    show_default=True,
    help="Seconds between two polls of the key servers.",
)
def vcenter_serve(
    data_dir: Path,
    listen: str,
    port: int,
    cert: Path,
    key: Path | None,
    ca: Path,
    key_password_file: Path | None,
    kms_cert: Path | None,
    kms_key: Path | None,
    kms_key_password_file: Path | None,
    kms_ca: Path | None,
    administrator: tuple[str, ...],
    poll_interval: float,
) -> None:
    """Run a vCenter until SIGTERM or Ctrl-C.

    \b
    Example:
      kmipkit vcenter serve --data-dir vc --cert vc.crt --key vc.key --ca roles-ca.crt \\
          --kms-cert kmip.crt --kms-key kmip.key --kms-ca kms-ca.crt
    """
    from kmipkit_vsphere.roles.vcenter import for_users, run_vcenter

    if (kms_cert is None) is not (kms_ca is None) or (kms_key is not None and kms_cert is None):
        raise click.UsageError("--kms-cert, --kms-key and --kms-ca must be used together")
    kms = (
        _credentials(kms_cert, kms_key, kms_ca, kms_key_password_file)
        if kms_cert is not None and kms_ca is not None
        else None
    )
    listening = for_users((listen, port), _credentials(cert, key, ca, key_password_file))
    run_vcenter(data_dir, listening, kms, administrator, click.echo, poll_interval)


class CallGroup(click.Group):
    """A group whose subcommands are made from the rows of vCenter's calls when one is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._load(ctx))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self._load(ctx).get(cmd_name)

    def _load(self, _ctx: click.Context) -> "MutableMapping[str, click.Command]":
        from kmipkit_vsphere.vcenter.calls import ROWS
        from kmipkit_vsphere.vcenter.command_line import subcommand

        for row in ROWS:
            if row.command and row.command not in self.commands:
                self.add_command(subcommand(row, "kmipkit vcenter call ...", _call))
        return self.commands


@vcenter.group("call", cls=CallGroup)
@click.option("--vcenter", "where", required=True, metavar="HOST:PORT", help="Its address.")
@click.option("--name", default="vcenter", show_default=True, help="Name in its certificate.")
@certificate_options
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@click.pass_context
def vcenter_call(
    context: click.Context,
    where: str,
    name: str,
    cert: Path,
    key: Path | None,
    ca: Path,
    key_password_file: Path | None,
    as_json: bool,
) -> None:
    """Call a vCenter.

    \b
    Examples:
      kmipkit vcenter call --vcenter 127.0.0.1:5989 --cert me.crt --key me.key --ca ca.crt vms
      kmipkit vcenter call ... --json events
    """
    address = _host_and_port(where, "--vcenter")
    context.obj = (address, name, _credentials(cert, key, ca, key_password_file), as_json)


def _host_and_port(where: str, option: str) -> tuple[str, int]:
    host, separator, port = where.rpartition(":")
    if not separator or not port.isdecimal():
        raise click.BadParameter(f"{where!r} is not HOST:PORT", param_hint=option)
    return host.strip("[]"), int(port)


def _send(context: click.Context, request: "Request[A]") -> "A":
    import trio

    from kmipkit_vsphere.rpc import channel

    address, name, credentials, _ = context.obj

    async def call() -> "A":
        async with await channel.connect(address, name, credentials) as client:
            return await client.call(request)

    # Ctrl-C only while the task waits: inside a callback of TLS it would be lost.
    return trio.run(call, restrict_keyboard_interrupt_to_checkpoints=True)


def _call(context: click.Context, row: "Row", parameters: dict[str, Any]) -> None:
    from kmipkit_vsphere.model.encoding import convert, to_builtins
    from kmipkit_vsphere.vcenter.command_line import text

    answer = to_builtins(_send(context, convert(parameters, row.request)))
    as_json = context.obj[3]
    if isinstance(answer, str) and not as_json:
        click.echo(answer.rstrip("\n"))
    elif as_json:
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    elif answer not in (None, [], {}):
        click.echo(text(answer))


@vcenter_call.command("export-provider")
@click.argument("provider")
@click.argument("file", type=FILE)
@click.option("--password-file", type=FILE, help="File with the password of the backup.")
@click.pass_context
def export_provider(
    context: click.Context, provider: str, file: Path, password_file: Path | None
) -> None:
    """Back up a native key provider: write a PKCS#12 file, mode 0600.

    \b
    Example:
      kmipkit vcenter call ... export-provider NKP NKP.p12 --password-file secret
    """
    from kmipkit_certs.files import write_new

    from kmipkit_vsphere.model.keys import SecretText
    from kmipkit_vsphere.vcenter.calls.native import DownloadBackup, ExportProvider

    if file.exists():
        raise click.BadParameter(f"{file} exists already", param_hint="FILE")
    password = None if password_file is None else SecretText(_password(password_file))
    prepared = _send(context, ExportProvider(provider, password))
    if prepared.warning:
        click.echo(f"warning: {prepared.warning}", err=True)
    data = _send(context, DownloadBackup(prepared.location.download_token.token))
    write_new(file, data, 0o600)
    click.echo(f"wrote {file}; the key provider {provider} is backed up")


@vcenter_call.command("export-core-dump")
@click.argument("host_name", metavar="HOST")
@click.argument("dump")
@click.argument("file", type=FILE)
@click.option("--password-file", type=FILE, required=True, help="File with a password for it.")
@click.pass_context
def export_core_dump(
    context: click.Context, host_name: str, dump: str, file: Path, password_file: Path
) -> None:
    """Write a core dump to FILE, protected by a password instead of a key, mode 0600.

    \b
    Examples:
      kmipkit vcenter call ... core-dumps esx01
      kmipkit vcenter call ... export-core-dump esx01 hostd-zdump.20260131T120000 dump --password-file p
      kmipkit host open-core-dump dump dump.raw --password-file p
    """
    from kmipkit_certs.files import write_new

    from kmipkit_vsphere.model.keys import SecretText
    from kmipkit_vsphere.vcenter.calls.hosts import ExportCoreDump

    if file.exists():
        raise click.BadParameter(f"{file} exists already", param_hint="FILE")
    password = SecretText(_password(password_file))
    write_new(file, _send(context, ExportCoreDump(host_name, dump, password)), 0o600)
    click.echo(f"wrote {file}")


def _password(file: Path) -> bytes:
    return _content(file).rstrip(b"\r\n")


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise click.BadParameter(f"cannot read {file}: {error}") from error


@vcenter.command("init-lab")
@click.argument("directory", type=FILE)
@click.option(
    "--host", "hosts", multiple=True, default=("esx01", "esx02"), show_default=True, help="Hosts."
)
@click.option("--kms-port", type=click.IntRange(1, 65535), default=5696, show_default=True)
@click.option(
    "--first-port",
    type=click.IntRange(1, 65000),
    default=5989,
    show_default=True,
    help="Port of vCenter; the hosts have the next ones.",
)
def init_lab(directory: Path, hosts: tuple[str, ...], kms_port: int, first_port: int) -> None:
    """Make a laboratory in a new DIRECTORY: certificates for all roles, and their commands.

    \b
    Examples:
      kmipkit vcenter init-lab lab
      lab/bin/kms & lab/bin/vcenter & lab/bin/esx01 &
      lab/bin/call add-key-server KMS kms1 127.0.0.1
    """
    from kmipkit_vsphere.demo.by_hand import make

    for line in make(directory, hosts, kms_port, first_port):
        click.echo(line)


@click.group()
def host() -> None:
    """The ESXi-host role: encrypts machines with keys that it keeps in memory only.

    \b
    Example:
      kmipkit host serve --name esx01 --data-dir esx01 --cert esx01.crt --key esx01.key --ca ca.crt
    """


@host.command("serve")
@click.option("--name", required=True, help="Name of the host, as in its certificate.")
@click.option("--data-dir", type=FILE, required=True, help="Directory for its datastore.")
@listen_options
@certificate_options
@click.option(
    "--manager",
    multiple=True,
    default=("vcenter",),
    show_default=True,
    help="Name in the certificate of its vCenter; may be repeated.",
)
@click.option(
    "--guest", multiple=True, help="Name of a caller that may access disks; may be repeated."
)
@click.option("--tpm", help="Its TPM 2.0, such as swtpm:host=127.0.0.1,port=2321.")
@click.option("--image", type=FILE, help="Manifest of its base image, measured into the TPM.")
def host_serve(
    name: str,
    data_dir: Path,
    listen: str,
    port: int,
    cert: Path,
    key: Path | None,
    ca: Path,
    key_password_file: Path | None,
    manager: tuple[str, ...],
    guest: tuple[str, ...],
    tpm: str | None,
    image: Path | None,
) -> None:
    """Run an ESXi host until SIGTERM or Ctrl-C. Its keys are lost when it ends.

    \b
    Example:
      kmipkit host serve --name esx01 --data-dir esx01 --cert esx01.crt --key esx01.key \\
          --ca roles-ca.crt --guest guest
    """
    from kmipkit_vsphere.roles.host import Boot, host_callers, run_host
    from kmipkit_vsphere.roles.process import Listening

    callers = host_callers(manager, guest)
    listening = Listening((listen, port), _credentials(cert, key, ca, key_password_file), callers)
    if (tpm is None) != (image is None):
        raise click.UsageError("--tpm and --image must be used together")
    boot = Boot(tpm, image) if tpm is not None and image is not None else None
    run_host(name, data_dir, listening, click.echo, boot)


@click.group("trust-authority")
def trust_authority() -> None:
    """The Trust Authority host: attests hosts, and gives keys to attested hosts only.

    \b
    Example:
      kmipkit trust-authority serve --name ta1 --data-dir ta1 --cert ta1.crt --key ta1.key --ca ca.crt
    """


@trust_authority.command("serve")
@click.option("--name", required=True, help="Name of the host, as in its certificate.")
@click.option("--data-dir", type=FILE, required=True, help="Directory for its configuration.")
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
    help="Name in the certificate of its vCenter; may be repeated.",
)
def trust_authority_serve(
    name: str,
    data_dir: Path,
    listen: str,
    port: int,
    service_port: int,
    cert: Path,
    key: Path | None,
    ca: Path,
    key_password_file: Path | None,
    manager: tuple[str, ...],
) -> None:
    """Run an Attestation Service and a Key Provider Service until SIGTERM or Ctrl-C.

    \b
    Example:
      kmipkit trust-authority serve --name ta1 --data-dir ta1 --cert ta1.crt --key ta1.key \\
          --ca ta-roles-ca.crt --manager ta-vcenter
    """
    from kmipkit_vsphere.roles.process import Listening
    from kmipkit_vsphere.roles.trust_authority import run_trust_authority, trust_authority_callers

    callers = trust_authority_callers(manager)
    listening = Listening((listen, port), _credentials(cert, key, ca, key_password_file), callers)
    run_trust_authority(name, data_dir, listening, service_port, click.echo)


def guest_options(function: F) -> F:
    """Which disk of which host, and the certificate of a guest."""
    disk = click.option("--disk", type=click.IntRange(0, 14), default=0, show_default=True)
    name = click.option("--name", required=True, help="Name of the host, as in its certificate.")
    where = click.option("--host", "where", required=True, metavar="HOST:PORT", help="Its address.")
    return where(name(disk(certificate_options(function))))


@host.command("read-disk")
@click.argument("machine")
@click.option("--offset", type=click.IntRange(0), default=0, show_default=True)
@click.option("--length", type=click.IntRange(0), help="Bytes.  [default: up to the end]")
@click.option("--out", type=FILE, help="File to write.  [default: standard output]")
@guest_options
def read_disk(
    machine: str,
    offset: int,
    length: int | None,
    out: Path | None,
    where: str,
    name: str,
    disk: int,
    cert: Path,
    key: Path | None,
    ca: Path,
    key_password_file: Path | None,
) -> None:
    """Read from a disk of a machine, as its guest sees it.

    \b
    Example:
      kmipkit host read-disk db1 --length 512 --host 127.0.0.1:5990 --name esx01 \\
          --cert guest.crt --key guest.key --ca roles-ca.crt
    """
    from kmipkit_vsphere.nbd.guest import GuestDisk

    credentials = _credentials(cert, key, ca, key_password_file)
    guest = GuestDisk(_host_and_port(where, "--host"), name, credentials, machine, disk)
    with click.open_file(str(out) if out is not None else "-", "wb") as target:
        for data in guest.read(offset, length):
            target.write(data)


@host.command("write-disk")
@click.argument("machine")
@click.argument("file", type=click.File("rb"))
@click.option("--offset", type=click.IntRange(0), default=0, show_default=True)
@guest_options
def write_disk(
    machine: str,
    file: BinaryIO,
    offset: int,
    where: str,
    name: str,
    disk: int,
    cert: Path,
    key: Path | None,
    ca: Path,
    key_password_file: Path | None,
) -> None:
    """Write FILE (- for standard input) to a disk of a machine, as its guest.

    \b
    Example:
      kmipkit host write-disk db1 letter.txt --offset 4096 --host 127.0.0.1:5990 --name esx01 \\
          --cert guest.crt --key guest.key --ca roles-ca.crt
    """
    from kmipkit_vsphere.nbd.guest import GuestDisk

    credentials = _credentials(cert, key, ca, key_password_file)
    guest = GuestDisk(_host_and_port(where, "--host"), name, credentials, machine, disk)
    click.echo(f"wrote {guest.write(offset, file)} bytes")


@host.command("open-core-dump")
@click.argument("file", type=FILE)
@click.argument("out", type=FILE)
@click.option("--password-file", type=FILE, required=True, help="File with its password.")
def open_core_dump(file: Path, out: Path, password_file: Path) -> None:
    """Decrypt an exported core dump: write its content to OUT, mode 0600.

    \b
    Example:
      kmipkit host open-core-dump dump dump.raw --password-file secret
    """
    from kmipkit_certs.files import write_new

    from kmipkit_vsphere.host.core_dumps import open_exported

    if out.exists():
        raise click.BadParameter(f"{out} exists already", param_hint="OUT")
    data = open_exported(_content(file), _password(password_file).decode())
    write_new(out, data, 0o600)
    click.echo(f"wrote {out}")


@host.command("export-disk")
@click.argument("machine")
@click.option("--host", "where", required=True, metavar="HOST:PORT", help="Its address.")
@click.option("--name", required=True, help="Name of the host, as in its certificate.")
@click.option("--disk", type=click.IntRange(0, 14), default=0, show_default=True)
@click.option("--socket", type=FILE, help="Unix socket for clients.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port for clients.")
@click.option("--listen", default="127.0.0.1", show_default=True, help="Address of that port.")
@click.option(
    "--tls-certificates",
    type=FILE,
    help="Directory for TLS with clients: ca-cert.pem, server-cert.pem, server-key.pem.",
)
@click.option("--readonly", is_flag=True, help="Refuse writes.")
@certificate_options
def export_disk(
    machine: str,
    where: str,
    name: str,
    disk: int,
    socket: Path | None,
    port: int | None,
    listen: str,
    tls_certificates: Path | None,
    readonly: bool,
    cert: Path,
    key: Path | None,
    ca: Path,
    key_password_file: Path | None,
) -> None:
    """Export a disk of an unlocked machine as a network block device, with nbdkit.

    Clients see plain text; the file on the datastore stays ciphertext. So an address other than that
    of this computer needs TLS. The certificate must be that of a guest of the host.

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
    files = _credentials(cert, key, ca, key_password_file)
    export = Export(
        name, address, files, machine, disk, socket, port, readonly, listen, tls_certificates
    )
    status = run(export)
    if status:
        raise click.exceptions.Exit(status)


@click.command()
@click.argument("story", type=click.Choice(list(STORY_NAMES)), default="standard")
@click.option(
    "--keep",
    type=FILE,
    help="Keep everything in this new directory.  [default: a temporary one]",
)
def demo(story: str, keep: Path | None) -> None:
    """Run a demonstration of machine encryption on this machine.

    \b
      standard         keys from a key server; key server and host are killed on the way
      trusted          attested hosts get keys from a Key Provider Service; needs swtpm
      native           no key server; vCenter is killed, the host reboots and continues
      vsan             hosts fetch their key themselves; a drill with 200 hosts
      key-loss         a key is deactivated on the key server: the symptoms and the repair
      rebuild-vcenter  vCenter and its store are lost; a new one serves the machines

    Each role is a process of its own, with TLS between them on loopback. The exit status is 0 only
    if every step showed what it claims.

    \b
    Examples:
      kmipkit demo
      kmipkit demo native --keep /tmp/kmipkit-demo
    """
    from kmipkit_vsphere.demo.stories import STORIES
    from kmipkit_vsphere.demo.story import play

    play(STORIES[story], keep, click.echo)
