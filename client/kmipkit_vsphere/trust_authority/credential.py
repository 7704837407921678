"""MakeCredential without a TPM (TPM 2.0 Part 1 §24): only one TPM can open what is made here.

The secret is encrypted so that a TPM gives it out only if it holds both the endorsement key and a
key of the given name: that binds an attestation key to an endorsement key.
"""

import hmac
import secrets
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFHMAC, CounterLocation, Mode

from kmipkit.keys import cipher
from kmipkit.keys.parameters import Parameters
from kmipkit.spec.enums import BlockCipherMode, CryptographicAlgorithm
from kmipkit_vsphere.model.errors import AttestationFailed
from kmipkit_vsphere.trust_authority.structures import ALG_AES, PublicArea, Reader, sized

SEED_SIZE: Final = 32
AES: Final = CryptographicAlgorithm.AES
_CFB: Final = Parameters(block_cipher_mode=BlockCipherMode.CFB)
OAEP: Final = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"IDENTITY\0")


def make_credential(endorsement: PublicArea, name: bytes, secret: bytes) -> tuple[bytes, bytes]:
    """Credential blob and encrypted seed for the TPM with this endorsement key."""
    if endorsement.symmetric != ALG_AES:
        raise AttestationFailed("the endorsement key is not one for AES-128")
    seed = secrets.token_bytes(SEED_SIZE)
    key = _kdfa(seed, b"STORAGE", name, 16)
    made = cipher.encrypt(key, AES, _CFB, sized(secret), iv=bytes(16), random=secrets.token_bytes)
    identity = made.data
    blob = sized(_mac(seed, identity, name)) + identity
    return blob, endorsement.key().encrypt(seed, OAEP)


def open_credential(blob: bytes, seed: bytes, name: bytes) -> bytes:
    """The secret, as a TPM opens it that has decrypted the seed."""
    reader = Reader(blob, "credential")
    mac = reader.sized()
    identity = blob[2 + len(mac) :]
    if not hmac.compare_digest(mac, _mac(seed, identity, name)):
        raise AttestationFailed("the credential is for another key")
    key = _kdfa(seed, b"STORAGE", name, 16)
    return Reader(cipher.decrypt(key, AES, _CFB, identity, iv=bytes(16)), "credential").sized()


def _mac(seed: bytes, identity: bytes, name: bytes) -> bytes:
    return hmac.digest(_kdfa(seed, b"INTEGRITY", b"", 32), identity + name, "sha256")


def _kdfa(key: bytes, label: bytes, context: bytes, size: int) -> bytes:
    """KDFa (Part 1 §11.4.10.2) is the counter mode of SP 800-108 with 32-bit numbers."""
    kdf = KBKDFHMAC(
        algorithm=hashes.SHA256(),
        mode=Mode.CounterMode,
        length=size,
        rlen=4,
        llen=4,
        location=CounterLocation.BeforeFixed,
        label=label,
        context=context,
        fixed=None,
    )
    return kdf.derive(key)
