"""PyKMIP's server as a process of its own: ``python -m bench.peers.pykmip_server FOLDER PKI``.

FOLDER gets its database and log; PKI is a directory as ``kmipkit certs`` makes it, with a server
certificate. Prints ``ready PORT`` once it listens.
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
    """PyKMIP takes no port 0; whoever else takes this one first makes the start fail."""
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
    server._socket.listen(512)  # serve() listens, too, but clients may come from here on
    print("ready", port, flush=True)
    try:
        server.serve()
    finally:
        server.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
