"""A laboratory to work with by hand: certificates for all roles, and a small command for each.

The commands are shell scripts in ``bin``. ``KMIPKIT`` in the environment replaces the program that they
call, and ``LAB_USER`` the user who calls vCenter.
"""

import secrets
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from kmipkit_certs import development
from kmipkit_certs.files import write_new

from kmipkit_vsphere.demo.laboratory import ADMINISTRATOR, GUEST, HOST, VCENTER, Laboratory
from kmipkit_vsphere.host.machine import check_name
from kmipkit_vsphere.model.clock import system_clock
from kmipkit_vsphere.model.errors import AlreadyExists, InvalidArgument
from kmipkit_vsphere.model.files import write_durably
from kmipkit_vsphere.model.keys import Secret
from kmipkit_vsphere.roles.vcenter import STORE
from kmipkit_vsphere.vcenter.passwords import hash_password
from kmipkit_vsphere.vcenter.store import Store

ADDRESS = "127.0.0.1"
PASSWORD_FILE = "administrator.password"  # noqa: S105 -- the name of a file
_PASSWORD_BYTES = 15
_PROGRAM = "exec ${KMIPKIT:-kmipkit}"
_RESERVED = {"kms", "call", "guest", "curl", "bin", "roles-pki", VCENTER, ADMINISTRATOR, GUEST}


def make(
    folder: Path, hosts: Sequence[str], kms_port: int, first_port: int, api_port: int
) -> list[str]:
    """Make it, and return what to do next; AlreadyExists if there is something in the folder."""
    if len(set(hosts)) != len(hosts) or _RESERVED.intersection(hosts):
        raise InvalidArgument(
            f"hosts need different names, and none of {', '.join(sorted(_RESERVED))}"
        )
    for host in hosts:
        check_name(host)
    if folder.exists() and any(folder.iterdir()):
        raise AlreadyExists(f"{folder} is not empty; name a new directory")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lab = Laboratory(folder.absolute())
    lab.make_roles(*(host for host in hosts if host != HOST))
    development.ensure(
        lab.kms / "certs", hosts=("localhost", ADDRESS), clients=("admin",), clock=system_clock
    )
    lab.admit_vcenter()
    (folder / "bin").mkdir(mode=0o700)
    ports = {host: first_port + number for number, host in enumerate(hosts, 1)}
    commands = {
        "kms": (*lab.kms_command(), "--port", str(kms_port)),
        "vcenter": (
            *(*lab.vcenter_command(), "--port", str(first_port)),
            *("--api", f"{ADDRESS}:{api_port}"),
        ),
        **{host: (*lab.host_command(host), "--port", str(port)) for host, port in ports.items()},
    }
    for name, command in commands.items():
        _script(folder / "bin" / name, f'{_PROGRAM} {shlex.join(command)} "$@"')
    _script(folder / "bin" / "call", _call(lab, first_port))
    _script(folder / "bin" / "guest", _guest(lab, ports))
    _script(folder / "bin" / "curl", _curl(lab, {VCENTER: first_port, **ports}))
    _make_password(lab)
    return _next_steps(folder, ports, kms_port, api_port)


def _make_password(lab: Laboratory) -> None:
    """A password for the administrator, who logs in with it to the Web Services API."""
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    write_new(lab.folder / PASSWORD_FILE, f"{password}\n".encode(), 0o600)
    lab.vcenter.mkdir(mode=0o700)
    store = Store(lab.vcenter / STORE)
    try:
        store.users.set_password(ADMINISTRATOR, hash_password(Secret(password.encode())))
    finally:
        store.close()


def _script(path: Path, text: str) -> None:
    write_durably(path, f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)


def _call(lab: Laboratory, port: int) -> str:
    """``call COMMAND …``: a call to vCenter."""
    pki = shlex.quote(str(lab.role(ADMINISTRATOR).certificate.parent))
    user = f'"${{LAB_USER:-{ADMINISTRATOR}}}"'
    return (
        f"{_PROGRAM} vcenter call --vcenter {ADDRESS}:{port} --ca {pki}/ca.crt"
        f' --cert {pki}/{user}.crt --key {pki}/{user}.key "$@"'
    )


def _guest(lab: Laboratory, ports: dict[str, int]) -> str:
    """``guest HOST COMMAND MACHINE …``: a command of a guest, such as read-disk."""
    files = lab.role(GUEST)
    options = shlex.join(
        ("--cert", str(files.certificate), "--key", str(files.key), "--ca", str(files.authorities))
    )
    return "\n".join(
        (
            "name=$1 command=$2",
            "shift 2",
            *_find_port(ports),
            f'{_PROGRAM} host "$command" --host "{ADDRESS}:$port" --name "$name" {options} "$@"',
        )
    )


def _curl(lab: Laboratory, ports: dict[str, int]) -> str:
    """``curl ROLE PATH …``: a request to vCenter as a user, or to a host as a guest."""
    pki = shlex.quote(str(lab.role(ADMINISTRATOR).certificate.parent))
    return "\n".join(
        (
            "name=$1 path=$2",
            "shift 2",
            *_find_port(ports),
            f"if [ $name = {VCENTER} ]; then user={ADMINISTRATOR}; else user={GUEST}; fi",
            "user=${LAB_USER:-$user}",
            f"exec curl -sS --fail-with-body --cacert {pki}/ca.crt"
            f' --cert {pki}/"$user".crt --key {pki}/"$user".key'
            f' --connect-to "$name:443:{ADDRESS}:$port" "https://$name$path" "$@"',
        )
    )


def _find_port(ports: dict[str, int]) -> Iterator[str]:
    """The lines that set ``port`` for the role in ``name``."""
    yield "case $name in"
    for name, port in ports.items():
        yield f"{shlex.quote(name)}) port={port} ;;"
    yield '*) echo "there is no $name here" >&2; exit 2 ;;'
    yield "esac"


def _next_steps(folder: Path, ports: dict[str, int], kms_port: int, api_port: int) -> list[str]:
    run = folder / "bin"
    first = next(iter(ports))
    starts = " ".join(f"{run}/{host} &" for host in ports)
    kms = f"{run}/call add-key-server KMS kms1 {ADDRESS} --port {kms_port}"
    return [
        f"made {folder}; start the roles, then call vCenter:",
        f"  {run}/kms & {run}/vcenter & {starts}",
        f"  {kms}",
        *(f"  {run}/call add-host {host} {ADDRESS} {port}" for host, port in ports.items()),
        f"  {run}/call create-vm {first} db1 1048576 --encrypt",
        f"  echo hello | {run}/guest {first} write-disk db1 -",
        f"  {run}/guest {first} read-disk db1 --length 5",
        f"  {run}/call events",
        f"govc and pyVmomi find vCenter at https://{ADDRESS}:{api_port}/sdk, as user {ADMINISTRATOR}",
        f"with the password in {folder / PASSWORD_FILE}; trust {folder}/roles-pki/ca.crt",
    ]
