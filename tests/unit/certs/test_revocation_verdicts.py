"""What ``check`` says of revocation is what the server does: the same lists through both."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from certificate_family import CA, Template, issue, key
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from kmipkit_certs.authority import Authority, Purpose
from kmipkit_certs.check import Check, verdict
from kmipkit_certs.files import read_revoked
from kmipkit_certs.revocation import signed_hash, text_line
from kmipkit_certs.revocation_files import RevocationFiles
from kmipkit_server.net.revocation import Revocations, Revoked

NOW = datetime.now(UTC)

ROOT_KEY, MIDDLE_KEY = key("p256", "root"), key("p256", "intermediate")
ROOT = issue(Template("root", ROOT_KEY, (CA,)), "root", ROOT_KEY)
UPPER = issue(Template("upper", key("p256", "upper"), (CA,)), "root", ROOT_KEY)
MIDDLE = issue(Template("middle", MIDDLE_KEY, (CA,)), "upper", key("p256", "upper"))
LEAF = issue(Template("array", key("p256")), "middle", MIDDLE_KEY)
AUTHORITIES = {
    ROOT: Authority(ROOT, ROOT_KEY),
    UPPER: Authority(UPPER, key("p256", "upper")),
    MIDDLE: Authority(MIDDLE, MIDDLE_KEY),
}
ISSUERS = {UPPER: ROOT, MIDDLE: UPPER, LEAF: MIDDLE}


def lists() -> Iterator[tuple[str, list[x509.CertificateRevocationList], frozenset[bytes]]]:
    """Each certificate in its authority's list or in one's own, and lists that have expired."""
    yield "nothing", [], frozenset()
    for certificate, issuer in ISSUERS.items():
        name = certificate.subject.rfc4514_string()
        for is_revoked, days in itertools.product((False, True), (9, -1)):
            entry = (
                x509.RevokedCertificateBuilder()
                .serial_number(certificate.serial_number if is_revoked else 12345)
                .revocation_date(NOW)
                .build()
            )
            crl = AUTHORITIES[issuer].sign_revocation_list(
                [entry], 1, NOW - timedelta(days=9), days=9 + days
            )
            yield f"{name} {is_revoked} {days}", [crl], frozenset()
        yield f"{name} in the own list", [], frozenset({signed_hash(certificate)})


@pytest.mark.parametrize("trusted", [(ROOT,), (ROOT, UPPER), (ROOT, UPPER, MIDDLE)], ids=len)
def test_check_refuses_exactly_whom_the_server_refuses(
    tmp_path: Path, trusted: tuple[x509.Certificate, ...]
) -> None:
    differences = {}
    refused = 0
    for name, crls, hashes in lists():
        path = tmp_path / "crl"
        path.write_bytes(b"".join(crl.public_bytes(Encoding.PEM) for crl in crls))
        own = tmp_path / "own"
        own.write_text(
            "".join(text_line(each, NOW) + "\n" for each in ISSUERS if signed_hash(each) in hashes)
        )
        if any(crl.issuer not in {each.subject for each in trusted} for crl in crls):
            continue  # the server does not start with a list of an authority that it does not trust
        files = RevocationFiles((path,) if crls else (), own)
        anchors = [each.public_bytes(Encoding.DER) for each in trusted]
        server = Revocations.load(files, anchors, lambda: NOW)
        try:
            server.require_valid(LEAF.public_bytes(Encoding.DER))
            is_served = True
        except Revoked:
            is_served = False
        check = Check(
            (LEAF, MIDDLE, UPPER), trusted, Purpose.CLIENT, NOW, is_present=True,
            identity_source="cn", revocation_lists=crls, revoked=read_revoked(own),
        )  # fmt: skip
        answer = verdict(check)
        assert answer.openssl is None
        refused += not is_served
        if answer.is_accepted is not is_served:
            differences[name] = (is_served, answer.reasons)
    assert differences == {}
    assert refused > 0


def test_an_authority_below_a_revoked_one_is_revoked(tmp_path: Path) -> None:
    """Its own certificate is in no list; but whoever revoked the one above trusts neither."""
    entry = (
        x509.RevokedCertificateBuilder()
        .serial_number(UPPER.serial_number)
        .revocation_date(NOW)
        .build()
    )
    crl = AUTHORITIES[ROOT].sign_revocation_list([entry], 1, NOW)
    (tmp_path / "crl").write_bytes(crl.public_bytes(Encoding.PEM))
    anchors = [each.public_bytes(Encoding.DER) for each in (ROOT, UPPER, MIDDLE)]
    server = Revocations.load(RevocationFiles((tmp_path / "crl",)), anchors, lambda: NOW)
    with pytest.raises(Revoked, match=r"authority is not valid.*'CN=upper' was revoked"):
        server.require_valid(LEAF.public_bytes(Encoding.DER))
