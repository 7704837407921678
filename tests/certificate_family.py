"""A family of client certificates: every kind of fault, alone and together, and what is no fault.

Each member says how the certificate and its chain are made. Whether it is accepted is not said: the
tests hold ``kmipkit certs check`` against a server.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage
from cryptography.x509.oid import NameOID
from kmipkit_certs.authority import Authority, Purpose

KEYS: dict[str, Callable[[], Any]] = {
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "p224": lambda: ec.generate_private_key(ec.SECP224R1()),
    "k256": lambda: ec.generate_private_key(ec.SECP256K1()),
    "brainpool": lambda: ec.generate_private_key(ec.BrainpoolP256R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "rsa-1024": lambda: rsa.generate_private_key(65537, 1024),
    "dsa": lambda: dsa.generate_private_key(2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ed448": ed448.Ed448PrivateKey.generate,
}


@cache
def key(kind: str, owner: str = "leaf") -> Any:
    """A key of a kind, which is the same for each owner."""
    return KEYS[kind]()


@dataclass(frozen=True)
class Template:
    """What a certificate says."""

    subject: str = "array"
    key: Any = None
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = ()
    start: timedelta = timedelta(days=-1)
    end: timedelta = timedelta(days=100)
    hash: Any = field(default_factory=hashes.SHA256)
    is_pss: bool = False
    changes: tuple[Callable[[bytes], bytes], ...] = ()
    """Of the part to be signed, in DER: what the library does not make."""


@dataclass(frozen=True)
class Member:
    """A client: what it sends, and what the server trusts."""

    name: str
    key: Any
    chain: tuple[x509.Certificate | bytes, ...]
    trusted: tuple[x509.Certificate, ...]


def issue(template: Template, issuer: str, signer: Any) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(template.subject))
        .issuer_name(_name(issuer))
        .public_key(template.key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + template.start)
        .not_valid_after(now + template.end)
    )
    for extension, is_critical in template.extensions:
        builder = builder.add_extension(extension, is_critical)
    has_hash = not isinstance(signer, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    pss = padding.PSS(padding.MGF1(template.hash), padding.PSS.DIGEST_LENGTH)
    made = builder.sign(
        signer,
        template.hash if has_hash else None,
        rsa_padding=pss if template.is_pss else None,
    )
    if not template.changes:
        return made
    return x509.load_der_x509_certificate(changed(made, template.changes, signer))


def changed(
    certificate: x509.Certificate, changes: Sequence[Callable[[bytes], bytes]], signer: Any
) -> bytes:
    """The certificate with another signed part, signed again with ECDSA."""
    signed = certificate.tbs_certificate_bytes
    for change in changes:
        signed = change(signed)
    uses_sha_1 = SHA_1 in signed
    digest = hashes.SHA1() if uses_sha_1 else hashes.SHA256()
    signature = signer.sign(signed, ec.ECDSA(digest))
    return element(
        0x30, signed + (SHA_1 if uses_sha_1 else SHA_256) + element(3, b"\0" + signature)
    )


def element(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def elements(data: bytes) -> list[bytes]:
    """The elements in the content of an element."""
    found = []
    data = data[_start(data) :]
    while data:
        end = _start(data) + _size(data)
        found.append(data[:end])
        data = data[end:]
    return found


def _start(data: bytes) -> int:
    return 2 if data[1] < 0x80 else 2 + (data[1] & 0x7F)


def _size(data: bytes) -> int:
    return data[1] if data[1] < 0x80 else int.from_bytes(data[2 : _start(data)], "big")


SHA_256 = bytes.fromhex("300a06082a8648ce3d040302")
SHA_1 = bytes.fromhex("300906072a8648ce3d0401")
"""ecdsa-with-SHA256 and ecdsa-with-SHA1."""


def sha_1(signed: bytes) -> bytes:
    return _replace_part(signed, 2, SHA_1)


def version_1(signed: bytes) -> bytes:
    """Without version, and so without extensions."""
    parts = [part for part in elements(signed) if part[0] not in (0xA0, 0xA3)]
    return element(0x30, b"".join(parts))


def negative_serial(signed: bytes) -> bytes:
    return _replace_part(signed, 1, element(2, b"\xff\x7f"))


def zero_serial(signed: bytes) -> bytes:
    return _replace_part(signed, 1, element(2, b"\0"))


def long_serial(signed: bytes) -> bytes:
    return _replace_part(signed, 1, element(2, b"\x7f" * 40))


def bits_as_subject(signed: bytes) -> bytes:
    """A BIT STRING where a name must have text."""
    return signed.replace(element(0x0C, b"array"), element(3, b"\0arra"))


def _replace_part(signed: bytes, number: int, value: bytes) -> bytes:
    parts = elements(signed)
    parts[number] = value
    return element(0x30, b"".join(parts))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else [])


CA = (x509.BasicConstraints(ca=True, path_length=None), True)
LEAF = (x509.BasicConstraints(ca=False, path_length=None), True)
SAN = (x509.SubjectAlternativeName([x509.DNSName("array.example")]), False)
PRIVATE_OID = x509.ObjectIdentifier("1.3.6.1.4.1.99999.1")


def key_usage(**bits: bool) -> x509.KeyUsage:
    names = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
        "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: bits.get(name, False) for name in names})


@cache
def root(kind: str = "p256", form: str = "v3") -> x509.Certificate:
    extensions = {
        "v3": (CA,),
        "v1": (),
        "no CA": (LEAF,),
        "no constraints": (),
        "length 0": ((x509.BasicConstraints(ca=True, path_length=0), True),),
        "no key usage for it": (CA, (key_usage(digital_signature=True), True)),
        "server only": (CA, (x509.ExtendedKeyUsage([Usage.SERVER_AUTH]), False)),
        "expired": (CA,),
        "other names": (
            CA,
            (x509.NameConstraints([x509.DNSName("elsewhere.example")], None), True),
        ),
    }[form]
    template = Template(
        f"root {kind} {form}",
        key(kind, "root"),
        extensions,
        timedelta(days=-9),
        timedelta(days=-1 if form == "expired" else 100),
        changes=(version_1,) if form == "v1" else (),
    )
    return issue(template, template.subject, template.key)


def _subject(certificate: x509.Certificate) -> str:
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def _simple(name: str, template: Template, kind: str = "p256", form: str = "v3") -> Member:
    authority = root(kind, form)
    template = template if template.key else replace(template, key=key("p256"))
    leaf = issue(template, _subject(authority), key(kind, "root"))
    return Member(name, template.key, (leaf,), (authority,))


def usages() -> Iterator[Member]:
    """Extended key usages, critical and not, with and without other extensions."""
    lists: dict[str, list[x509.ObjectIdentifier]] = {
        "client": [Usage.CLIENT_AUTH],
        "server": [Usage.SERVER_AUTH],
        "both": [Usage.SERVER_AUTH, Usage.CLIENT_AUTH],
        "any": [Usage.ANY_EXTENDED_KEY_USAGE],
        "any and client": [Usage.ANY_EXTENDED_KEY_USAGE, Usage.CLIENT_AUTH],
        "any and server": [Usage.ANY_EXTENDED_KEY_USAGE, Usage.SERVER_AUTH],
        "e-mail": [Usage.EMAIL_PROTECTION],
        "private": [PRIVATE_OID],
    }
    for (name, oids), is_critical in itertools.product(lists.items(), (False, True)):
        usage = (x509.ExtendedKeyUsage(oids), is_critical)
        yield _simple(f"usage {name}{' critical' * is_critical}", Template(extensions=(usage,)))
    for bits in (
        {"digital_signature": True}, {"key_encipherment": True}, {"key_agreement": True},
        {"key_cert_sign": True}, {"content_commitment": True},
        {"digital_signature": True, "key_cert_sign": True},
    ):  # fmt: skip
        usage = (key_usage(**bits), True)
        yield _simple(f"key usage {'+'.join(bits)}", Template(extensions=(usage,)))


def extensions() -> Iterator[Member]:
    """Extensions that nobody knows, constraints, names."""
    for is_critical in (False, True):
        unknown = (x509.UnrecognizedExtension(PRIVATE_OID, b"\x05\0"), is_critical)
        yield _simple(f"unknown extension {is_critical}", Template(extensions=(unknown,)))
    yield _simple("CA leaf", Template(extensions=(CA,)))
    yield _simple("leaf that is none", Template(extensions=(LEAF,)))
    yield _simple("only SAN", Template(subject="", extensions=(SAN,)))
    yield _simple("CN and SAN", Template(extensions=(SAN,)))
    yield _simple("no name at all", Template(subject=""))
    yield _simple("name of a user", Template(subject="user:admin"))
    stapling = (x509.TLSFeature([x509.TLSFeatureType.status_request]), True)
    yield _simple("must staple", Template(extensions=(stapling,)))
    policy = x509.CertificatePolicies([x509.PolicyInformation(PRIVATE_OID, None)])
    yield _simple("critical policy", Template(extensions=((policy, True),)))


def dates() -> Iterator[Member]:
    """Every order of now, the start and the end."""
    day = timedelta(days=1)
    for name, start, end in (
        ("expired", -9 * day, -day),
        ("not yet valid", day, 9 * day),
        ("soon expired", -day, 2 * day),
        ("valid", -day, day * 300),
    ):
        yield _simple(name, Template(start=start, end=end))


def keys() -> Iterator[Member]:
    """Kinds of keys of the client and of its authority, and signatures."""
    for kind in KEYS:
        yield _simple(f"key {kind}", Template(key=key(kind)))
    for kind in ("p384", "k256", "brainpool", "rsa", "ed25519", "ed448", "rsa-1024"):
        yield _simple(f"authority {kind}", Template(), kind)
    for digest in (hashes.SHA256(), hashes.SHA512(), hashes.SHA224()):
        yield _simple(f"hash {digest.name}", Template(hash=digest))
        yield _simple(f"PSS {digest.name}", Template(hash=digest, is_pss=True), "rsa")
    for change in (sha_1, version_1, negative_serial, zero_serial, long_serial, bits_as_subject):
        try:
            yield _simple(change.__name__, Template(changes=(change,)))
        except ValueError:  # the library does not even read it
            continue


def roots() -> Iterator[Member]:
    """Forms of the authority that the server trusts."""
    for form in (
        "v1", "no CA", "no constraints", "length 0", "no key usage for it", "server only", "expired",
        "other names",
    ):  # fmt: skip
        yield _simple(f"root {form}", Template(extensions=(SAN,)), form=form)


def chains() -> Iterator[Member]:
    """Which of root and intermediate authority is sent, and which is trusted."""
    own = key("p256")
    intermediate_key = key("p256", "intermediate")
    forms: dict[str, Template] = {
        "good": Template("intermediate", intermediate_key, (CA,)),
        "no CA": Template("intermediate", intermediate_key, (LEAF,)),
        "v1": Template("intermediate", intermediate_key, changes=(version_1,)),
        "server only": Template(
            "intermediate",
            intermediate_key,
            (CA, (x509.ExtendedKeyUsage([Usage.SERVER_AUTH]), False)),
        ),
        "any": Template(
            "intermediate",
            intermediate_key,
            (CA, (x509.ExtendedKeyUsage([Usage.ANY_EXTENDED_KEY_USAGE]), False)),
        ),
        "expired": Template(
            "intermediate", intermediate_key, (CA,), timedelta(days=-9), timedelta(days=-1)
        ),
        "SHA-1": Template("intermediate", intermediate_key, (CA,), changes=(sha_1,)),
    }
    top = root()
    leaf = issue(Template(key=own), "intermediate", intermediate_key)
    for form, template in forms.items():
        middle = issue(template, _subject(top), key("p256", "root"))
        for sends, trusts in itertools.product(
            ((leaf,), (leaf, middle), (leaf, middle, top), (leaf, top, middle)),
            ((top,), (middle,), (top, middle)),
        ):
            name = f"chain {form}, sends {_describe(sends)}, trusts {_describe(trusts)}"
            yield Member(name, own, sends, trusts)
    deep = issue(Template("deep", key("p256", "deep"), (CA,)), "intermediate", intermediate_key)
    end = issue(Template(key=own), "deep", key("p256", "deep"))
    middle = issue(forms["good"], _subject(top), key("p256", "root"))
    short = root(form="length 0")
    below = issue(forms["good"], _subject(short), key("p256", "root"))
    yield Member("two intermediates", own, (end, deep, middle), (top,))
    yield Member("one of two missing", own, (end, middle), (top,))
    yield Member("path too long", own, (leaf, below), (short,))


def _describe(certificates: Sequence[x509.Certificate]) -> str:
    return "+".join(_subject(certificate) for certificate in certificates)


def self_signed() -> Iterator[Member]:
    """Home laboratories: the server trusts the certificate of its client itself."""
    own = key("p256")
    for name, extensions in {
        "plain": (),
        "CA": (CA,),
        "leaf": (LEAF,),
        "CA for clients": (CA, (x509.ExtendedKeyUsage([Usage.CLIENT_AUTH]), False)),
        "CA that only signs": (CA, (key_usage(key_cert_sign=True), True)),
    }.items():
        certificate = issue(Template(f"home {name}", own, extensions), f"home {name}", own)
        yield Member(f"self-signed {name}", own, (certificate,), (certificate,))
        yield Member(f"self-signed {name}, not trusted", own, (certificate,), (root(),))
    old = Template("home v1", own, changes=(version_1,))
    certificate = issue(old, "home v1", own)
    yield Member("self-signed v1", own, (certificate,), (certificate,))
    leaf = _simple("trusted itself", Template())
    yield replace(leaf, trusted=leaf.chain)  # type: ignore[arg-type]  # a certificate
    yield replace(leaf, name="key changed", trusted=(_recreated_root(),))


def _recreated_root() -> x509.Certificate:
    template = Template(_subject(root()), key("p256", "recreated root"), (CA,))
    return issue(template, template.subject, template.key)


def our_own() -> Iterator[Member]:
    """What ``kmipkit certs`` issues: everything that RFC 5280 asks for, and newer OpenSSL checks."""
    now = datetime.now(UTC)
    for algorithm in ("ecdsa-p256", "rsa-2048"):
        authority = Authority.create(f"our own {algorithm}", algorithm, now)
        issued = authority.issue(
            "array", Purpose.BOTH, now, alternative=["array.example"], algorithm=algorithm
        )
        name = f"our own {algorithm}"
        yield Member(name, issued.key, (issued.certificate,), (authority.certificate,))


def members() -> Iterator[Member]:
    """The whole family."""
    for part in (usages, extensions, dates, keys, roots, chains, self_signed, our_own):
        yield from part()


def pem(chain: Sequence[x509.Certificate | bytes]) -> bytes:
    return b"".join(
        x509.load_der_x509_certificate(each).public_bytes(Encoding.PEM)
        if isinstance(each, bytes)
        else each.public_bytes(Encoding.PEM)
        for each in chain
    )


def key_pem(private: Any) -> bytes:
    data = private.private_bytes(
        Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    assert isinstance(data, bytes)
    return data


def weak_request(digest: hashes.HashAlgorithm, algorithm: str) -> bytes:
    """A certificate request in DER with RSA and a hash that the library itself does not take."""
    private = key("rsa", "request")
    made = x509.CertificateSigningRequestBuilder().subject_name(_name("array"))
    signed = made.sign(private, hashes.SHA256()).tbs_certrequest_bytes
    signature = private.sign(signed, padding.PKCS1v15(), digest)
    oid = element(0x30, bytes.fromhex(algorithm) + b"\x05\0")
    return element(0x30, signed + oid + element(3, b"\0" + signature))
