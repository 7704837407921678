"""A real TPM 2.0, or a software one such as swtpm, through the TPM software stack (tpm2-pytss).

The stack is an optional dependency: ``pip install kmipkit[tpm]``, which needs libtss2-dev.

A TPM has room for three loaded objects, and here no resource manager swaps them. So each key is
loaded for one use and flushed after it. That loses nothing: endorsement key and storage key are
primary keys, which a TPM derives again from its seed and the same template. Only the attestation key
stays loaded, because a challenge and its quote must use the same one.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from kmipkit_vsphere.model.errors import AttestationFailed, InvalidState
from kmipkit_vsphere.trust_authority.tpm import PCRS, Endorsement, Quote

SELECTION: Final = "sha256:" + ",".join(map(str, PCRS))

try:
    import tpm2_pytss as _stack  # type: ignore[import-untyped,import-not-found,unused-ignore]  # optional, without types
except (ImportError, RuntimeError):  # RuntimeError: the libraries below it are missing
    _stack = None


def is_installed() -> bool:
    """Whether the TPM software stack can be used."""
    return _stack is not None


def open_tpm(where: str) -> "TPM2":
    """A TPM by its TCTI, such as ``swtpm:host=127.0.0.1,port=2321`` or ``device:/dev/tpmrm0``.

    Raises :class:`InvalidState` where the stack is not installed or the TPM does not answer.
    """
    if _stack is None:
        raise InvalidState(
            "the TPM software stack is not installed; on Debian: apt install libtss2-dev"
            " pkg-config gcc, then pip install tpm2-pytss"
        )
    try:
        return TPM2(_stack.ESAPI(where))
    except _stack.TSS2_Exception as error:
        raise InvalidState(f"the TPM {where} does not answer: {error}") from None


class TPM2:
    """See :class:`kmipkit_vsphere.trust_authority.tpm.TPM`.

    ``_lock`` is held for a whole command sequence: another thread's key could otherwise take the room
    of one that this sequence needs.
    """

    def __init__(self, esapi: Any) -> None:
        self._tpm = esapi
        self._certificate: bytes | None = None
        self._attestation: Any = None
        self._lock = threading.RLock()

    def endorsement(self) -> Endorsement:
        """The RSA-2048 endorsement key, and its certificate in NV index 0x01c00002."""
        with self._lock, self._endorsement_key() as handle:
            public = self._tpm.read_public(handle)[0].publicArea.marshal()
            return Endorsement(bytes(public), self._certificate)

    @contextmanager
    def _endorsement_key(self) -> Iterator[Any]:
        """The endorsement key, loaded while the block runs."""
        from tpm2_pytss import utils  # loads more of the stack

        certificate, template = utils.create_ek_template("EK-RSA2048", utils.NVReadEK(self._tpm))
        self._certificate = bytes(certificate) if certificate else None
        handle, *_ = self._tpm.create_primary(
            _stack.TPM2B_SENSITIVE_CREATE(), template, _stack.ESYS_TR.ENDORSEMENT
        )
        try:
            yield handle
        finally:
            self._tpm.flush_context(handle)

    @contextmanager
    def _endorsement_session(self) -> Iterator[Any]:
        """A policy session that authorizes one use of the endorsement key (§7.6).

        The policy of this key requires the authorization of the endorsement hierarchy
        (PolicySecret). A session counts for one command: using it resets its policy.
        """
        session = self._session(_stack.TPM2_SE.POLICY)
        try:
            self._tpm.policy_secret(
                _stack.ESYS_TR.ENDORSEMENT, session, b"", b"", b"", 0, _stack.ESYS_TR.PASSWORD
            )
            yield session
        finally:
            self._tpm.flush_context(session)

    def _session(self, kind: Any) -> Any:
        return self._tpm.start_auth_session(
            _stack.ESYS_TR.NONE,
            _stack.ESYS_TR.NONE,
            kind,
            _stack.TPMT_SYM_DEF(algorithm=_stack.TPM2_ALG.NULL),
            _stack.TPM2_ALG.SHA256,
        )

    def make_attestation_key(self) -> bytes:
        """A restricted RSA-2048 signing key under the endorsement key."""
        # RESTRICTED: signs only what the TPM itself produced. FIXED…: can never leave this TPM.
        attributes = (
            _stack.TPMA_OBJECT.FIXEDTPM
            | _stack.TPMA_OBJECT.FIXEDPARENT
            | _stack.TPMA_OBJECT.SENSITIVEDATAORIGIN
            | _stack.TPMA_OBJECT.USERWITHAUTH
            | _stack.TPMA_OBJECT.RESTRICTED
            | _stack.TPMA_OBJECT.SIGN_ENCRYPT
        )
        template = _stack.TPM2B_PUBLIC.parse(
            "rsa2048:rsassa-sha256:null", objectAttributes=attributes
        )
        with self._lock, self._endorsement_key() as parent:
            if self._attestation is not None:
                self._tpm.flush_context(self._attestation)
                self._attestation = None
            with self._endorsement_session() as session:
                private, public, *_ = self._tpm.create(
                    parent, _stack.TPM2B_SENSITIVE_CREATE(), template, session1=session
                )
            with self._endorsement_session() as session:
                self._attestation = self._tpm.load(parent, private, public, session1=session)
            return bytes(public.publicArea.marshal())

    def activate_credential(self, blob: bytes, secret: bytes) -> bytes:
        """Opens a credential for the endorsement key and the attestation key."""
        with (
            self._lock,
            self._endorsement_key() as parent,
            self._endorsement_session() as session,
        ):
            try:
                secret_data = self._tpm.activate_credential(
                    self._attestation,
                    parent,
                    _stack.TPM2B_ID_OBJECT(blob),
                    _stack.TPM2B_ENCRYPTED_SECRET(secret),
                    session2=session,
                )
            except _stack.TSS2_Exception as error:
                raise AttestationFailed(f"the TPM cannot open the credential: {error}") from None
        return bytes(secret_data)

    def quote(self, nonce: bytes) -> Quote:
        """A quote over the registers."""
        selection = _stack.TPML_PCR_SELECTION.parse(SELECTION)
        with self._lock:
            attest, signature = self._tpm.quote(
                self._attestation, selection, _stack.TPM2B_DATA(nonce)
            )
        return Quote(bytes(attest), bytes(signature.marshal()))

    def extend(self, pcr: int, digest: bytes) -> None:
        """Extend a register of the bank SHA-256."""
        values = _stack.TPML_DIGEST_VALUES(
            [_stack.TPMT_HA(hashAlg=_stack.TPM2_ALG.SHA256, digest=_stack.TPMU_HA(sha256=digest))]
        )
        with self._lock:
            self._tpm.pcr_extend(_stack.ESYS_TR(pcr), values)

    def seal(self, data: bytes, state: bytes | None = None) -> bytes:
        """A sealed object under the storage key, with a policy over the registers."""
        with self._lock:
            return self._seal(data, state or b"")

    def _seal(self, data: bytes, state: bytes) -> bytes:
        # A trial session computes the digest of the policy "the registers are as they are now", or
        # as a given digest says (TPM 2.0 Part 3 §23.7: a trial session does not compare it).
        session = self._policy(_stack.TPM2_SE.TRIAL, state)
        try:
            policy = self._tpm.policy_get_digest(session)
        finally:
            self._tpm.flush_context(session)
        template = _stack.TPM2B_PUBLIC.parse(
            "keyedhash",
            objectAttributes=_stack.TPMA_OBJECT.FIXEDTPM
            | _stack.TPMA_OBJECT.FIXEDPARENT
            | _stack.TPMA_OBJECT.NODA,
            authPolicy=policy,
        )
        sensitive = _stack.TPM2B_SENSITIVE_CREATE(
            _stack.TPMS_SENSITIVE_CREATE(data=_stack.TPM2B_SENSITIVE_DATA(data))
        )
        with self._storage_key() as parent:
            private, public, *_ = self._tpm.create(parent, sensitive, template)
        # Not the data, but the object that only this TPM can load: private part, then public part.
        encrypted = bytes(private.marshal())
        return len(encrypted).to_bytes(4, "big") + encrypted + bytes(public.marshal())

    def unseal(self, blob: bytes) -> bytes:
        """Opens a sealed object; refused after the registers changed."""
        with self._lock:
            return self._unseal(blob)

    def _unseal(self, blob: bytes) -> bytes:
        size = int.from_bytes(blob[:4], "big")
        with self._storage_key() as parent:
            try:
                private, _ = _stack.TPM2B_PRIVATE.unmarshal(blob[4 : 4 + size])
                public, _ = _stack.TPM2B_PUBLIC.unmarshal(blob[4 + size :])
                handle = self._tpm.load(parent, private, public)
            except _stack.TSS2_Exception as error:
                raise InvalidState(f"another TPM sealed this data ({error})") from None
            session = self._policy(_stack.TPM2_SE.POLICY)
            try:
                return bytes(self._tpm.unseal(handle, session1=session))
            except _stack.TSS2_Exception:
                raise InvalidState(
                    "the TPM refuses to unseal: the host was booted in another state"
                ) from None
            finally:
                self._tpm.flush_context(session)
                self._tpm.flush_context(handle)

    def _policy(self, kind: Any, state: bytes = b"") -> Any:
        session = self._session(kind)
        selection = _stack.TPML_PCR_SELECTION.parse(SELECTION)
        self._tpm.policy_pcr(session, state, selection)
        return session

    @contextmanager
    def _storage_key(self) -> Iterator[Any]:
        attributes = (
            _stack.TPMA_OBJECT.FIXEDTPM
            | _stack.TPMA_OBJECT.FIXEDPARENT
            | _stack.TPMA_OBJECT.SENSITIVEDATAORIGIN
            | _stack.TPMA_OBJECT.USERWITHAUTH
            | _stack.TPMA_OBJECT.RESTRICTED
            | _stack.TPMA_OBJECT.DECRYPT
            # No lockout: nothing here has a password to guess, and a power cut counts as a guess.
            | _stack.TPMA_OBJECT.NODA
        )
        template = _stack.TPM2B_PUBLIC.parse("rsa2048:null:aes128cfb", objectAttributes=attributes)
        handle, *_ = self._tpm.create_primary(
            _stack.TPM2B_SENSITIVE_CREATE(), template, _stack.ESYS_TR.OWNER
        )
        try:
            yield handle
        finally:
            self._tpm.flush_context(handle)

    def close(self) -> None:
        """Flush the attestation key and release the TPM."""
        with suppress(_stack.TSS2_Exception):  # the TPM may be gone already
            if self._attestation is not None:
                self._tpm.flush_context(self._attestation)
        self._tpm.close()
