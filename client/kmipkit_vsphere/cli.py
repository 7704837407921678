"""``kmipkit vcenter``, ``kmipkit host``, ``kmipkit trust-authority`` and ``kmipkit demo``."""

from collections.abc import MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kmipkit.numbers_option import NumberRange
from kmipkit.terminal import echo, echo_json, echo_lines
from kmipkit_vsphere.cli_check import check_kms
from kmipkit_vsphere.cli_disks import (
    export_disk,
    open_core_dump,
    read_disk,
    tpm_seal,
    tpm_unseal,
    write_disk,
)
from kmipkit_vsphere.cli_options import (
    FILE,
    certificate_options,
    host_and_port,
    listen_options,
    make_credentials,
    password,
)

if TYPE_CHECKING:
    from kmipkit_vsphere.rpc.call import Request
    from kmipkit_vsphere.rpc.tls import Credentials
    from kmipkit_vsphere.vcenter.command import Row

A = TypeVar("A")
API_RELEASES = ("8.0.3", "9.0.0")
STORY_NAMES = (
    "standard",
    "trusted",
    "native",
    "vsan",
    "key-loss",
    "rebuild-vcenter",
    "replace-key-server",
    "policies",
    "snapshots",
    "alarms",
    "replace-provider",
    "upgrade-host",
    "key-persistence",
)


@click.group()
def vcenter() -> None:
    """The vCenter role: calls the key servers, and stores the ids of keys but never keys.

    \b
    Examples:
      kmipkit vcenter serve --data-dir vc --cert vc.crt --key vc.key --ca roles-ca.crt \\
          --kms-cert kmip.crt --kms-key kmip.key --kms-ca kms-ca.crt --port 5989
      kmipkit vcenter call --server 127.0.0.1:5989 --cert me.crt --key me.key --ca ca.crt vms
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
    "--kms-crl",
    type=FILE,
    multiple=True,
    help="Revocation list of such an authority; may be repeated.",
)
@click.option(
    "--administrator",
    multiple=True,
    default=("administrator",),
    show_default=True,
    help="Name in the certificate of an administrator; may be repeated.",
)
@click.option("--api", metavar="HOST:PORT", help="Serve the Web Services API (SOAP) here.")
@click.option(
    "--api-release",
    type=click.Choice(API_RELEASES),
    default=API_RELEASES[0],
    show_default=True,
    help="The release of vSphere that the API is of.",
)
@click.option(
    "--trusted-admin",
    multiple=True,
    help="Add this user to the group TrustedAdmins, if no member can log in; may be repeated.",
)
@click.option(
    "--poll-interval",
    type=NumberRange(1, 86400),
    default=300.0,
    show_default=True,
    help="Seconds between two polls of the key servers.",
)
def vcenter_serve(
    data_dir: Path,
    listen: str,
    port: int,
    credentials: "Credentials",
    kms_cert: Path | None,
    kms_key: Path | None,
    kms_key_password_file: Path | None,
    kms_ca: Path | None,
    kms_crl: tuple[Path, ...],
    administrator: tuple[str, ...],
    trusted_admin: tuple[str, ...],
    poll_interval: float,
    api: str | None,
    api_release: str,
) -> None:
    """Run a vCenter until SIGTERM or Ctrl-C.

    \b
    Example:
      kmipkit vcenter serve --data-dir vc --cert vc.crt --key vc.key --ca roles-ca.crt \\
          --kms-cert kmip.crt --kms-key kmip.key --kms-ca kms-ca.crt
    """
    from kmipkit_vsphere.roles.vcenter import API, for_users, run_vcenter

    if (kms_cert is None) is not (kms_ca is None) or (kms_key is not None and kms_cert is None):
        raise click.UsageError("--kms-cert, --kms-key and --kms-ca must be used together")
    kms = (
        make_credentials(kms_cert, kms_key, kms_ca, kms_key_password_file, kms_crl)
        if kms_cert is not None and kms_ca is not None
        else None
    )
    listening = for_users((listen, port), credentials)
    place = None if api is None else API(host_and_port(api, "--api"), api_release)
    run_vcenter(
        data_dir,
        listening,
        kms,
        administrator,
        echo,
        poll_interval,
        place,
        trusted_admins=trusted_admin,
    )


@vcenter.command("openapi")
def vcenter_openapi() -> None:
    """Print the OpenAPI description of vCenter's calls.

    \b
    Examples:
      kmipkit vcenter openapi > vcenter.json
      curl --cert me.crt --key me.key --cacert ca.crt --connect-to vcenter::127.0.0.1: \\
          https://vcenter:5989/openapi.json
    """
    from kmipkit_vsphere.roles import descriptions

    echo_json(descriptions.vcenter())


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
@click.option(
    "--server", "--vcenter", "where", required=True, metavar="HOST:PORT", help="Its address."
)
@click.option("--name", default="vcenter", show_default=True, help="Name in its certificate.")
@certificate_options
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@click.pass_context
def vcenter_call(
    context: click.Context,
    where: str,
    name: str,
    credentials: "Credentials",
    as_json: bool,
) -> None:
    """Call a vCenter.

    \b
    Examples:
      kmipkit vcenter call --server 127.0.0.1:5989 --cert me.crt --key me.key --ca ca.crt vms
      kmipkit vcenter call ... --json events
    """
    address = host_and_port(where, "--server")
    context.obj = (address, name, credentials, as_json)


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
    from kmipkit_vsphere.vcenter.command_line import shown

    answer = to_builtins(_send(context, convert(parameters, row.request)))
    as_json = context.obj[3]
    if isinstance(answer, str) and not as_json:
        echo_lines(answer.rstrip("\n"))
    elif as_json:
        echo_json(answer)
    elif text := shown(context, row, answer):
        echo_lines(text)


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
    secret = None if password_file is None else SecretText(password(password_file))
    prepared = _send(context, ExportProvider(provider, secret))
    if prepared.warning:
        echo(f"warning: {prepared.warning}", err=True)
    data = _send(context, DownloadBackup(prepared.location.download_token.token))
    write_new(file, data, 0o600)
    echo(f"wrote {file}; the key provider {provider} is backed up")


@vcenter_call.command("set-password")
@click.argument("user")
@click.option("--password-file", type=FILE, help="File with the password.  [default: ask for it]")
@click.pass_context
def set_password(context: click.Context, user: str, password_file: Path | None) -> None:
    """Set the password with which a user logs in to the Web Services API.

    \b
    Example:
      kmipkit vcenter call ... set-password ada --password-file secret
    """
    from kmipkit_certs.errors import CertificateError
    from kmipkit_certs.passwords import new_password

    from kmipkit_vsphere.model.keys import SecretText
    from kmipkit_vsphere.vcenter.calls.users import SetPassword

    try:
        text = new_password(password_file, user, "--password-file")
    except CertificateError as error:
        raise click.ClickException(str(error)) from None
    _send(context, SetPassword(user, SecretText(text)))


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

    core-dumps lists them; kmipkit host open-core-dump decrypts the file.

    \b
    Example:
      kmipkit vcenter call ... export-core-dump esx01 hostd-zdump.20260131T120000 dump --password-file p
    """
    from kmipkit_certs.files import write_new

    from kmipkit_vsphere.model.keys import SecretText
    from kmipkit_vsphere.vcenter.calls.hosts import ExportCoreDump

    if file.exists():
        raise click.BadParameter(f"{file} exists already", param_hint="FILE")
    request = ExportCoreDump(host_name, dump, SecretText(password(password_file)))
    write_new(file, _send(context, request), 0o600)
    echo(f"wrote {file}")


vcenter.add_command(check_kms)


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
@click.option(
    "--api-port",
    type=click.IntRange(1, 65535),
    default=8443,
    show_default=True,
    help="Port of the Web Services API, for govc and other tools.",
)
def init_lab(
    directory: Path, hosts: tuple[str, ...], kms_port: int, first_port: int, api_port: int
) -> None:
    """Make a laboratory in a new DIRECTORY: certificates for all roles, and their commands.

    The password for the Web Services API is in DIRECTORY/administrator.password.

    \b
    Examples:
      kmipkit vcenter init-lab lab
      lab/bin/kms & lab/bin/vcenter & lab/bin/esx01 &
      lab/bin/call add-key-server KMS kms1 127.0.0.1
    """
    from kmipkit_vsphere.demo.by_hand import make

    for line in make(directory, hosts, kms_port, first_port, api_port):
        echo(line)


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
    credentials: "Credentials",
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
    listening = Listening((listen, port), credentials, callers)
    if (tpm is None) != (image is None):
        raise click.UsageError("--tpm and --image must be used together")
    boot = Boot(tpm, image) if tpm is not None and image is not None else None
    run_host(name, data_dir, listening, echo, boot)


@host.command("openapi")
def host_openapi() -> None:
    """Print the OpenAPI description of a host's calls.

    \b
    Example:
      kmipkit host openapi > host.json
    """
    from kmipkit_vsphere.roles import descriptions

    echo_json(descriptions.host())


for command in (read_disk, write_disk, tpm_seal, tpm_unseal, open_core_dump, export_disk):
    host.add_command(command)


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
    credentials: "Credentials",
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
    listening = Listening((listen, port), credentials, callers)
    run_trust_authority(name, data_dir, listening, service_port, echo)


@trust_authority.command("openapi")
@click.option("--services", is_flag=True, help="The calls of trusted hosts, on --service-port.")
def trust_authority_openapi(services: bool) -> None:
    """Print the OpenAPI description of the calls of a Trust Authority host.

    \b
    Example:
      kmipkit trust-authority openapi --services > services.json
    """
    from kmipkit_vsphere.roles import descriptions

    echo_json(descriptions.trust_authority(services=services))


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
      standard            keys from a key server; key server and host are killed on the way
      trusted             attested hosts get keys from a Key Provider Service; needs swtpm
      native              no key server; vCenter is killed, the host reboots and continues
      vsan                hosts fetch their key themselves; a drill with 200 hosts
      key-loss            a key is deactivated on the key server: the symptoms and the repair
      rebuild-vcenter     vCenter and its store are lost; a new one serves the machines
      replace-key-server  another key server, then a native key provider, takes over

    Each role is a process of its own, with TLS between them on loopback. The exit status is 0 only
    if every step showed what it claims.

    \b
    Examples:
      kmipkit demo
      kmipkit demo native --keep /tmp/kmipkit-demo
    """
    from kmipkit_vsphere.demo.stories import STORIES
    from kmipkit_vsphere.demo.story import play

    play(STORIES[story], keep, echo_lines)
