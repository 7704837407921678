"""The verifier of trusted key providers: every failure of vsphere.md §7.5, and tokens."""

from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from kmipkit_vsphere.model.encoding import convert, decode, encode
from kmipkit_vsphere.model.errors import (
    AttestationFailed,
    InvalidArgument,
    NotAttested,
)
from kmipkit_vsphere.trust_authority import token
from kmipkit_vsphere.trust_authority.anchors import Anchors, fingerprint
from kmipkit_vsphere.trust_authority.calls import Attest, Challenge
from kmipkit_vsphere.trust_authority.measurements import Event, Image, replay
from kmipkit_vsphere.trust_authority.structures import FIXED_TPM, SIGN
from msgspec.structs import replace
from software_tpm import (
    IMAGE,
    NOW,
    OTHER,
    Maker,
    SoftwareTPM,
    anchors,
    attest,
    good,
    service,
)


@pytest.fixture(scope="module")
def maker() -> Maker:
    return Maker("TPM maker", NOW)


def refused(
    tpm: SoftwareTPM, trusted: Anchors, match: str, events: list[Event] | None = None
) -> None:
    measured = IMAGE.measure(tpm)
    verifier = service(trusted, [IMAGE], lambda: NOW)
    with pytest.raises(AttestationFailed, match=match):
        attest(verifier, tpm, measured if events is None else events)


# The failures of §7.5 ----------------------------------------------------------------------------


def test_a_good_host_is_attested(maker: Maker) -> None:
    tpm = good(maker)
    result = attest(service(anchors(maker), [OTHER, IMAGE], lambda: NOW), tpm, IMAGE.measure(tpm))
    claims = jwt.decode(result.documents[token.KMS_AUTH], options={"verify_signature": False})
    assert claims["sub"] == "host"
    assert claims["image"] == {"name": "ESXi", "version": "8.0.3"}
    assert claims["exp"] - claims["iat"] == timedelta(hours=8).total_seconds()
    assert claims["ek_fingerprint"] == fingerprint(tpm.ek.public_key())


def test_an_unknown_maker(maker: Maker) -> None:
    stranger = Maker("another", NOW)
    tpm = SoftwareTPM()
    tpm.certificate = stranger.certify(tpm.ek)
    refused(tpm, anchors(maker), "registered TPM maker")


def test_an_expired_endorsement_certificate(maker: Maker) -> None:
    tpm = SoftwareTPM()
    tpm.certificate = Maker("TPM maker", NOW - timedelta(days=400)).certify(tpm.ek)
    refused(tpm, anchors(maker), "registered TPM maker")
    tpm.certificate = maker.certify(tpm.ek, days=0)
    verifier = service(anchors(maker), [IMAGE], lambda: NOW + timedelta(days=1))
    with pytest.raises(AttestationFailed, match="not valid now"):
        attest(verifier, tpm, IMAGE.measure(tpm))


def test_a_certificate_of_another_tpm(maker: Maker) -> None:
    tpm = good(maker)
    tpm.certificate = maker.certify(SoftwareTPM("other").ek)
    refused(tpm, anchors(maker), "for another key")


def test_tpms_without_a_certificate_only_by_registration(maker: Maker) -> None:
    tpm = SoftwareTPM()
    refused(tpm, anchors(maker), "no endorsement certificate")
    known = (("host", fingerprint(tpm.ek.public_key())),)
    tpm.reboot()
    loose = Anchors((), known, require_certificate_validation=False)
    assert attest(service(loose, [IMAGE], lambda: NOW), tpm, IMAGE.measure(tpm)).attested
    refused(SoftwareTPM("other"), loose, "no endorsement certificate")
    strict = anchors(maker, require_endorsement_keys=True)
    refused(good(maker), strict, "not registered")


def test_an_attestation_key_outside_the_tpm(maker: Maker) -> None:
    class Elsewhere(SoftwareTPM):
        def activate_credential(self, blob: bytes, secret: bytes) -> bytes:
            return bytes(32)  # it cannot know the secret

    tpm = Elsewhere()
    tpm.certificate = maker.certify(tpm.ek)
    refused(tpm, anchors(maker), "not in the TPM of the endorsement key")


def test_an_attestation_key_that_signs_anything(maker: Maker) -> None:
    tpm = good(maker)
    tpm.ak_attributes = FIXED_TPM | SIGN
    refused(tpm, anchors(maker), "not a restricted signing key")


def test_a_quote_that_another_key_signed(maker: Maker) -> None:
    tpm = good(maker)
    tpm.signing_key = SoftwareTPM("other").ak
    refused(tpm, anchors(maker), "signature of the quote")


def test_an_old_quote(maker: Maker) -> None:
    tpm = good(maker)
    tpm.nonce = bytes(32)
    refused(tpm, anchors(maker), "old one")


def test_a_quote_over_other_registers(maker: Maker) -> None:
    tpm = good(maker)
    tpm.quoted = (0, 1)
    refused(tpm, anchors(maker), "registers that were requested")


def test_a_log_that_is_not_what_was_measured(maker: Maker) -> None:
    tpm = good(maker)
    tpm.extend(8, b"\x66" * 32)  # something else was loaded first, and left out of the log
    refused(tpm, anchors(maker), "does not lead to the registers")


@pytest.mark.parametrize(
    ("image", "match"),
    [
        (OTHER, r"ESXi 8\.0\.2.*not an accepted image"),
        (Image("ESXi", "8.0.3", IMAGE.components, IMAGE.options, secure_boot=False), "secure boot"),
        (Image("ESXi", "8.0.3", IMAGE.components, IMAGE.options, debug_mode=True), "debug mode"),
        (Image("ESXi", "8.0.3", tuple(("c", "00" * 32) for _ in range(1001))), "unreliable"),
    ],
)
def test_software_that_is_not_accepted(maker: Maker, image: Image, match: str) -> None:
    tpm = good(maker)
    verifier = service(anchors(maker), [IMAGE], lambda: NOW)
    with pytest.raises(AttestationFailed, match=match):
        attest(verifier, tpm, image.measure(tpm))


def test_a_challenge_is_answered_once_and_in_time(maker: Maker) -> None:
    now = [NOW]
    verifier = service(anchors(maker), [IMAGE], lambda: now[0])
    tpm = good(maker)
    events = IMAGE.measure(tpm)
    seen: list[Attest] = []
    real = verifier.attest

    def record(request: Attest) -> Any:
        seen.append(request)
        return real(request)

    verifier.attest = record  # type: ignore[method-assign]  # replaced for this test
    attest(verifier, tpm, events)
    with pytest.raises(AttestationFailed, match="answered already"):
        real(seen[0])

    def late(request: Attest) -> Any:
        now[0] += timedelta(minutes=2)
        return real(request)

    verifier.attest = late  # type: ignore[method-assign]  # replaced for this test
    with pytest.raises(AttestationFailed, match="too old"):
        attest(verifier, tpm, events)


@pytest.mark.parametrize("name", ["ek_public", "ak_public"])
@pytest.mark.parametrize("data", [b"", bytes(10), b"\x00\x01\x00\x0b" + bytes(200), bytes(5000)])
def test_malformed_structures_are_refused(maker: Maker, name: str, data: bytes) -> None:
    tpm = good(maker)
    request = Challenge(
        "h",
        tpm.endorsement().public,
        tpm.make_attestation_key(),
        bytes(32),
        tpm.certificate,
    )
    verifier = service(anchors(maker), [IMAGE], lambda: NOW)
    with pytest.raises(AttestationFailed):
        verifier.challenge(replace(request, **{name: data}))


def test_a_log_replays_to_what_a_tpm_has() -> None:
    tpm = SoftwareTPM()
    assert replay(IMAGE.measure(tpm)) == tpm._digest()
    assert decode(encode(IMAGE), Image) == IMAGE
    for bad in ({}, {"name": "x", "version": "1", "components": [["a", "00"]]}):
        with pytest.raises(InvalidArgument):
            convert(bad, Image)


# Tokens ------------------------------------------------------------------------------------------


def test_tokens_that_do_not_entitle() -> None:
    key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    from cryptography.hazmat.primitives import serialization as form

    pem = (
        key.public_key()
        .public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
    keys = {"as1": pem}
    claims = token.HostClaims(
        "fingerprint", token.ImageClaim("ESXi", "8.0.3"), token.Confirmation(bytes(32)), "digest"
    )

    def issued(
        signer: Any = key, issuer: str = "as1", group: str = "g", kind: str = token.KMS_AUTH
    ) -> str:
        return token.issue(signer, issuer, group, "host", NOW, kind, claims)

    assert token.check(issued(), keys, "g", NOW) == claims
    assert (
        jwt.decode(issued(), options={"verify_signature": False})["ek_fingerprint"] == "fingerprint"
    )
    for text, match in (
        (issued(other), "not valid"),
        (issued(issuer="as9"), "no Attestation Service"),
        (issued(group="foreign"), "another group"),
        (issued(kind=token.REPORTING), "for reports"),
        (jwt.encode({"iss": "as1"}, None, algorithm="none"), "not valid"),
        ("nonsense", "not valid"),
    ):
        with pytest.raises(NotAttested, match=match):
            token.check(text, keys, "g", NOW)
    for now in (NOW + timedelta(hours=8), NOW - timedelta(seconds=1)):
        with pytest.raises(NotAttested, match="expired"):
            token.check(issued(), keys, "g", now)


def test_an_answer_opens_only_with_the_key_of_the_token() -> None:
    own = X25519PrivateKey.generate()
    sealed = token.seal_to(own.public_key().public_bytes_raw(), b"kek", b"id")
    assert token.open_sealed(own, sealed, b"id") == b"kek"
    for key, about in ((X25519PrivateKey.generate(), b"id"), (own, b"other")):
        with pytest.raises(NotAttested, match="another host"):
            token.open_sealed(key, sealed, about)
