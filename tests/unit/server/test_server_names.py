"""Which names clients may use for a server with certificates of its own."""

from pathlib import Path

import pytest
from kmipkit_certs import machine
from kmipkit_certs.credentials import load_certificates
from kmipkit_certs.passwords import KeyPassword
from kmipkit_certs.show import alternative_names
from kmipkit_server import config
from kmipkit_server.config import Config, ConfigError
from kmipkit_server.config.sections import ListenConfig, StoreConfig, TLSConfig
from kmipkit_server.running.clock import system_clock
from kmipkit_server.service.tls_files import tls_files


def test_the_first_certificates_have_the_names_of_settings_and_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "names", lambda: ("kms", "192.0.2.2", "127.0.0.1"))
    settings = Config(
        listen=ListenConfig(host="0.0.0.0"),
        tls=TLSConfig(san=("kms.example.org", "2001:db8::7")),
        store=StoreConfig(directory=tmp_path),
    )
    for cert, _ in tls_files(settings, system_clock, KeyPassword()).pairs:
        [certificate] = load_certificates(cert)
        names = {str(name) for name in alternative_names(certificate)}
        expected = [
            "kms.example.org",
            "2001:db8::7",
            "localhost",
            "127.0.0.1",
            "::1",
            "kms",
            "192.0.2.2",
        ]
        assert names == set(expected), "0.0.0.0 is no name"


@pytest.mark.parametrize(
    ("tls", "words"),
    [
        ({"san": ["kms"], "cert": "c", "ca": "a"}, "for the development PKI only"),
        ({"san": [""]}, "tls.san has ''"),
        ({"san": ["kms" * 30]}, "give a host name"),
    ],
)
def test_names_that_could_have_no_effect_are_refused(
    tmp_path: Path, tls: dict[str, object], words: str
) -> None:
    path = tmp_path / "kms.toml"
    lines = "\n".join(f"{key} = {value!r}" for key, value in tls.items())
    path.write_text(f"[tls]\n{lines}\n")
    with pytest.raises(ConfigError, match=words):
        config.load(path)


def test_a_start_that_changes_nothing_renews_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also for names that a certificate has in another form."""
    monkeypatch.setattr(machine, "names", lambda: ("kms",))
    settings = Config(
        listen=ListenConfig(host="fe80::1%eth0"),
        tls=TLSConfig(san=("bücher.example", "2001:DB8:0::7", "KMS.example.org")),
        store=StoreConfig(directory=tmp_path),
    )
    pairs = tls_files(settings, system_clock, KeyPassword()).pairs
    before = [cert.read_bytes() for cert, _ in pairs]
    tls_files(settings, system_clock, KeyPassword())
    assert [cert.read_bytes() for cert, _ in pairs] == before
