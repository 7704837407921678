"""Tags whose values are always secret: never shown, logged or part of an error message.

They are key material, plaintext and ciphertext, and everything that authenticates a client.
:mod:`kmipkit.ttlv.redaction` has the values that are secret only below a Key Value.
"""

from kmipkit.spec.tags import Tag

SECRET_TAGS = frozenset(
    {
        # Key material and its parts (KMIP 1.4 §2.1.7, KMIP 2.1 §3.12)
        Tag.KEY_MATERIAL,
        Tag.KEY,
        Tag.D,
        Tag.P,
        Tag.Q,
        Tag.X,
        Tag.PRIVATE_EXPONENT,
        Tag.PRIME_EXPONENT_P,
        Tag.PRIME_EXPONENT_Q,
        Tag.CRT_COEFFICIENT,
        # The content of opaque objects, and data that operations take or give: plain text, random
        # bytes, seeds (KMIP 1.4 §2.2.8, §4.29 to §4.36)
        Tag.OPAQUE_DATA_VALUE,
        Tag.DATA,
        Tag.DERIVATION_DATA,
        # Credentials (KMIP 2.1 §9.11, KMIP 3.0)
        Tag.PASSWORD,
        Tag.ONE_TIME_PASSWORD,
        Tag.HASHED_PASSWORD,
        Tag.HASHED_USERNAME_PASSWORD,
        Tag.SERVER_HASHED_PASSWORD,
        Tag.SALTED_PASSWORD,
        Tag.OTP_SEED,
        Tag.TICKET_VALUE,
        # May contain any of these (KMIP 2.1 §6.1.37)
        Tag.PKCS_11_INPUT_PARAMETERS,
        Tag.PKCS_11_OUTPUT_PARAMETERS,
    }
)
