"""Commands on the disks and core dumps of a host, for ``kmipkit host``."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from kmipkit.terminal import echo
from kmipkit_vsphere.cli_options import (
    FILE,
    certificate_options,
    content,
    host_and_port,
    password,
)

if TYPE_CHECKING:
    from kmipkit_vsphere.rpc.tls import Credentials


def guest_options(function: Callable[..., None]) -> Callable[..., None]:
    """Which disk of which host, and the certificate of a guest."""
    disk = click.option("--disk", type=click.IntRange(0, 14), default=0, show_default=True)
    return disk(machine_options(function))


def machine_options(function: Callable[..., None]) -> Callable[..., None]:
    """Which host, and the certificate of a guest."""
    name = click.option("--name", required=True, help="Name of the host, as in its certificate.")
    where = click.option(
        "--server", "--host", "where", required=True, metavar="HOST:PORT", help="Its address."
    )
    return where(name(certificate_options(function)))


@click.command("read-disk")
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
    credentials: "Credentials",
) -> None:
    """Read from a disk of a machine, as its guest sees it.

    \b
    Example:
      kmipkit host read-disk db1 --length 512 --host 127.0.0.1:5990 --name esx01 \\
          --cert guest.crt --key guest.key --ca roles-ca.crt
    """
    from kmipkit_vsphere.nbd.guest import GuestDisk

    guest = GuestDisk(host_and_port(where, "--server"), name, credentials, machine, disk)
    with click.open_file(str(out) if out is not None else "-", "wb") as target:
        for data in guest.read(offset, length):
            target.write(data)


@click.command("write-disk")
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
    credentials: "Credentials",
) -> None:
    """Write FILE (- for standard input) to a disk of a machine, as its guest.

    \b
    Example:
      kmipkit host write-disk db1 letter.txt --offset 4096 --host 127.0.0.1:5990 --name esx01 \\
          --cert guest.crt --key guest.key --ca roles-ca.crt
    """
    from kmipkit_vsphere.nbd.guest import GuestDisk

    guest = GuestDisk(host_and_port(where, "--server"), name, credentials, machine, disk)
    echo(f"wrote {guest.write(offset, file)} bytes")


def _tpm_command(name: str, verb: str) -> click.Command:
    """A command that gives a file to the virtual TPM of a machine, and writes its answer."""

    @click.argument("machine")
    @click.argument("file", type=click.File("rb"))
    @click.option("--out", type=FILE, help="File to write.  [default: standard output]")
    @machine_options
    def callback(
        machine: str,
        file: BinaryIO,
        out: Path | None,
        where: str,
        name: str,
        credentials: "Credentials",
    ) -> None:
        from kmipkit_vsphere.nbd.guest import GuestDisk

        guest = GuestDisk(host_and_port(where, "--server"), name, credentials, machine)
        data = file.read()
        with click.open_file(str(out) if out is not None else "-", "wb") as target:
            target.write(guest.seal(data) if verb == "Seal" else guest.unseal(data))

    callback.__doc__ = f"""{verb} FILE (- for standard input) with the virtual TPM of a machine.

    \b
    Example:
      kmipkit host {name} db1 key --out answer --host 127.0.0.1:5990 --name esx01 \\
          --cert guest.crt --key guest.key --ca roles-ca.crt
    """
    return click.command(name)(callback)


tpm_seal = _tpm_command("tpm-seal", "Seal")
tpm_unseal = _tpm_command("tpm-unseal", "Unseal")


@click.command("open-core-dump")
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
    data = open_exported(content(file), password(password_file).decode())
    write_new(out, data, 0o600)
    echo(f"wrote {out}")


@click.command("export-disk")
@click.argument("machine")
@click.option(
    "--server", "--host", "where", required=True, metavar="HOST:PORT", help="Its address."
)
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
    credentials: "Credentials",
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
    address = host_and_port(where, "--server")
    export = Export(
        name, address, credentials, machine, disk, socket, port, readonly, listen, tls_certificates
    )
    status = run(export)
    if status:
        raise click.exceptions.Exit(status)
