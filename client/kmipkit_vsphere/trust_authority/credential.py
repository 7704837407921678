"""MakeCredential without a TPM (TPM 2.0 Part 1 §24): a credential that only one TPM can open.

The TPM releases the secret only if it holds both the endorsement key and a key with the given name.
So the answer proves that the attestation key, which signs the quotes, is in the TPM whose endorsement
key is trusted. The endorsement key could not prove this itself: it cannot sign.

How it works: a random seed is encrypted to the endorsement key. Two keys are derived from the seed:
one encrypts the secret, and the name is part of its derivation; the other makes a MAC over ciphertext
and name. A TPM computes the name from the attestation key that it has loaded, so the MAC fails for any
other key.
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
# The label, with its terminating zero, separates credentials from the other uses of such seeds.
OAEP: Final = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), b"IDENTITY\0")


def make_credential(endorsement: PublicArea, name: bytes, secret: bytes) -> tuple[bytes, bytes]:
    """Credential blob and encrypted seed for the TPM with this endorsement key.

    ``name`` is the name of the attestation key: a digest of its public area.
    """
    # The endorsement key is a storage key: its public area fixes the symmetric algorithm.
    if endorsement.symmetric != ALG_AES:
        raise AttestationFailed("the endorsement key does not use AES-128")
    seed = secrets.token_bytes(SEED_SIZE)
    key = _kdfa(seed, b"STORAGE", name, 16)
    # A zero IV is what the TPM expects, and safe here: the key encrypts this one message only.
    encrypted = cipher.encrypt(
        key, AES, _CFB, sized(secret), iv=bytes(16), random=secrets.token_bytes
    )
    identity = encrypted.data
    blob = sized(_mac(seed, identity, name)) + identity
    return blob, endorsement.key().encrypt(seed, OAEP)


def open_credential(blob: bytes, seed: bytes, name: bytes) -> bytes:
    """The secret, as a TPM opens it after decrypting the seed with its endorsement key."""
    reader = Reader(blob, "credential")
    mac = reader.sized()
    identity = blob[2 + len(mac) :]  # after the MAC and the two bytes of its length
    if not hmac.compare_digest(mac, _mac(seed, identity, name)):
        raise AttestationFailed("the credential is for another attestation key")
    key = _kdfa(seed, b"STORAGE", name, 16)
    return Reader(cipher.decrypt(key, AES, _CFB, identity, iv=bytes(16)), "credential").sized()


def _mac(seed: bytes, identity: bytes, name: bytes) -> bytes:
    return hmac.digest(_kdfa(seed, b"INTEGRITY", b"", 32), identity + name, "sha256")


def _kdfa(key: bytes, label: bytes, context: bytes, size: int) -> bytes:
    """KDFa (Part 1 §11.4.10.2): the counter mode of SP 800-108 with 32-bit numbers."""
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
