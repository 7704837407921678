"""Does the steps of a trial with a client in Python, once for each line of the standard input.

Argument: the client, ``pykmip`` or ``kmipkit``. A line has HOST, PORT, the files of the authority,
certificate and key, and two times a Unique Identifier and its material (hex). The answer is a line with
the results of the steps: ask what the server can do, store a key, get the two keys.
"""

import sys
from collections.abc import Callable
from contextlib import closing
from typing import Any

Steps = list[Callable[[], str]]


class PyKMIP:
    def __init__(self, host: str, port: str, ca: str, cert: str, key: str) -> None:
        from kmip.core.enums import KMIPVersion
        from kmip.pie.client import ProxyKmipClient

        self.client = ProxyKmipClient(
            host, int(port), cert, key, ca, kmip_version=KMIPVersion.KMIP_1_4
        )
        self.client.open()

    def close(self) -> None:
        self.client.close()

    def query(self) -> str:
        from kmip.core import enums

        functions = [
            enums.QueryFunction.QUERY_OPERATIONS,
            enums.QueryFunction.QUERY_SERVER_INFORMATION,
        ]
        done = self.client.proxy.query(query_functions=functions)
        if done.result_status.value is not enums.ResultStatus.SUCCESS:
            raise ValueError(done.result_reason)
        return "done"

    def store(self) -> str:
        from kmip.core.enums import CryptographicAlgorithm, CryptographicUsageMask
        from kmip.pie.objects import SymmetricKey

        masks = [CryptographicUsageMask.ENCRYPT]
        self.client.register(SymmetricKey(CryptographicAlgorithm.AES, 128, bytes(range(16)), masks))
        return "done"

    def get(self, identifier: str) -> str:
        return bytes(self.client.get(identifier).value).hex()


class Kmipkit:
    def __init__(self, host: str, port: str, ca: str, cert: str, key: str) -> None:
        from kmipkit_client import Client

        self.client = Client(host, int(port), ca=ca, cert=cert, key=key)

    def close(self) -> None:
        self.client.close()

    def query(self) -> str:
        self.client.query()
        return "done"

    def store(self) -> str:
        from kmipkit_client import symmetric_key

        self.client.register(symmetric_key(bytes(range(16))))
        return "done"

    def get(self, identifier: str) -> str:
        from kmipkit_client import material

        return material(self.client.get(identifier)).hex()


CLIENTS: dict[str, Callable[..., Any]] = {"pykmip": PyKMIP, "kmipkit": Kmipkit}


def attempt(step: Callable[[], str]) -> str:
    try:
        return step()
    except Exception as error:
        return f"error: {type(error).__name__}: {error}"


def trial(make: Callable[..., Any], host: str, port: str, *rest: str) -> list[str]:
    ca, cert, key, first, _, second, _ = rest
    try:
        opened = make(host, port, ca, cert, key)
    except Exception as error:
        return [f"error: {type(error).__name__}: {error}"] * 4
    with closing(opened) as client:
        steps: Steps = [
            client.query,
            client.store,
            lambda: client.get(first),
            lambda: client.get(second),
        ]
        return [attempt(step) for step in steps]


def main() -> None:
    make = CLIENTS[sys.argv[1]]
    for line in sys.stdin:
        done = trial(make, *line.split())
        print("\t".join(" ".join(each.split()) for each in done), flush=True)


main()
