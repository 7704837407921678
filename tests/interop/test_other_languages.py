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

import subprocess

import pytest
from servers import RunningServer

pytestmark = pytest.mark.standard

RUN_TIMEOUT = 120.0


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


def test_everyday_tasks_in_go(server: RunningServer, go_client: list[str]) -> None:
    """The lines that docs/client.md compares with ours do what they say."""
    perform([*go_client, "tasks"], server, f"127.0.0.1:{server.port}")


def test_rust_client(server: RunningServer, rust_client: list[str]) -> None:
    perform(rust_client, server, "127.0.0.1", str(server.port))


def test_scality_encrypts_the_keys_of_buckets(
    server: RunningServer, node_client: list[str]
) -> None:
    perform(node_client, server, "127.0.0.1", str(server.port))
