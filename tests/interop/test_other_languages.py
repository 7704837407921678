"""Clients in Go, Rust and JavaScript against our server, each with a small program of ours.

| client | who uses it | program |
| --- | --- | --- |
| ovh/kmip-go | OVHcloud's tools, and OpenBao through its wrapper | ``clients/go`` |
| OpenBao's KMIP wrapper | OpenBao, to seal its storage | ``clients/go`` |
| NLnet Labs kmip-protocol | Krill, Nameshed | ``clients/rust`` |
| Scality Arsenal | CloudServer (S3), for the keys of its buckets | ``clients/node`` |

The packages come from the registries of the languages. Programs are built once for each session, in the
cache of pytest, so that later sessions find what has not changed.
"""

import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from programs import CARGO, GO, NODE, build, fetch, locked, require
from servers import RunningServer

pytestmark = pytest.mark.standard

RUN_TIMEOUT = 120.0
ARSENAL = "@scality/arsenal@8.5.16"


@pytest.fixture(scope="session")
def go_client(workshop: Callable[[str], Path]) -> list[str]:
    require(GO)
    folder = workshop("go")
    with locked(folder):
        fetch(["go", "mod", "download"], folder)
        build(["go", "build", "-buildvcs=false", "-o", "client", "."], folder)
    return [str(folder / "client")]


@pytest.fixture(scope="session")
def rust_client(workshop: Callable[[str], Path]) -> list[str]:
    require(CARGO)
    if shutil.which("pkg-config") is None:
        pytest.skip("there is no pkg-config, with which the client finds OpenSSL")
    folder = workshop("rust")
    with locked(folder):
        fetch(["cargo", "fetch", "--quiet"], folder)
        build(["cargo", "build", "--quiet", "--offline"], folder)
    return [str(folder / "target/debug/kmip-client")]


@pytest.fixture(scope="session")
def node_client(workshop: Callable[[str], Path]) -> list[str]:
    require(NODE)
    if shutil.which("npm") is None:
        pytest.skip("there is no npm on this machine")
    folder = workshop("node")
    package = folder / "node_modules/arsenal"
    with locked(folder):
        if not package.exists():
            quiet = ["--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
            fetch(["npm", "install", "--no-package-lock", *quiet], folder)
            fetch(["npm", "pack", "--silent", ARSENAL], folder)
            unpack(next(folder.glob("scality-arsenal-*.tgz")), package)
    return ["node", str(folder / "main.js"), str(package)]


def unpack(archive: Path, package: Path) -> None:
    """The built files of a package, whose folder in the archive is ``package``."""
    with tarfile.open(archive) as tar:
        tar.extractall(package.parent / ".unpacked", filter="data")
    (package.parent / ".unpacked/package").rename(package)


def perform(command: list[str], server: RunningServer, *address: str) -> None:
    files = server.credentials("foreign")
    process = subprocess.run(
        [*command, *address, *(str(files[name]) for name in ("ca", "cert", "key"))],
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT,
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines()[-1] == "done"


def test_go_client_in_1_0_to_1_4(server: RunningServer, go_client: list[str]) -> None:
    perform([*go_client, "keys"], server, f"127.0.0.1:{server.port}")


def test_openbao_seals_with_its_kmip_wrapper(server: RunningServer, go_client: list[str]) -> None:
    perform([*go_client, "wrap"], server, f"127.0.0.1:{server.port}")


def test_rust_client(server: RunningServer, rust_client: list[str]) -> None:
    perform(rust_client, server, "127.0.0.1", str(server.port))


def test_scality_encrypts_the_keys_of_buckets(
    server: RunningServer, node_client: list[str]
) -> None:
    perform(node_client, server, "127.0.0.1", str(server.port))
