"""PyKMIP's server in a separate process: ``python -m bench.peers.pykmip_server FOLDER PKI``.

Its database and log are in FOLDER; PKI is a directory of ``kmipkit certs`` with a server certificate.
It prints ``ready PORT`` when it listens.
"""

import logging
import socket
import sys
import warnings
from pathlib import Path

CONFIGURATION = """\
[server]
hostname=127.0.0.1
port={port}
certificate_path={pki}/server.crt
key_path={pki}/server.key
ca_path={pki}/ca.crt
auth_suite=TLS1.2
policy_path={folder}/policies
enable_tls_client_auth=False
tls_cipher_suites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
logging_level=ERROR
database_path={folder}/pykmip.database
"""


def free_port() -> int:
    """A free port, because PyKMIP does not accept port 0. If another program takes it first, the start
    fails."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(folder: Path, pki: Path) -> None:
    warnings.simplefilter("ignore")
    from kmip.services.server import KmipServer

    (folder / "policies").mkdir(parents=True, exist_ok=True)
    port = free_port()
    configuration = folder / "server.conf"
    configuration.write_text(CONFIGURATION.format(port=port, pki=pki, folder=folder))
    server = KmipServer(config_path=str(configuration), log_path=str(folder / "server.log"))
    logging.getLogger("kmip").setLevel(logging.ERROR)
    server.start()
    server._socket.listen(512)  # serve() listens as well, but clients may connect from now on
    print("ready", port, flush=True)
    try:
        server.serve()
    finally:
        server.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
