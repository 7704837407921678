"""The Attestation Service: verifies a host's TPM, and signs tokens about the host (vsphere.md §7.4).

Two rounds. The host presents its endorsement key and an attestation key; the service answers with a
credential that only a TPM holding both can open, and a nonce. The host answers with the opened
secret, a quote over its registers for that nonce, and its event log; it gets two tokens.
"""

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import ec

from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.model.errors import AttestationFailed
from kmipkit_vsphere.trust_authority import token
from kmipkit_vsphere.trust_authority.anchors import Anchors
from kmipkit_vsphere.trust_authority.calls import (
    Attest,
    AttestationChallenge,
    AttestationResult,
    Challenge,
)
from kmipkit_vsphere.trust_authority.credential import make_credential
from kmipkit_vsphere.trust_authority.measurements import Event, Image, accept, replay
from kmipkit_vsphere.trust_authority.structures import PublicArea, QuoteInfo, verify_signature
from kmipkit_vsphere.trust_authority.tpm import PCRS

CHALLENGE_LIFE: Final = timedelta(minutes=1)
MAX_CHALLENGES: Final = 256


@dataclass(frozen=True, slots=True, repr=False)
class _Pending:
    """A challenge that has not been answered."""

    host: str
    endorsement: str
    attestation_key: PublicArea
    answer_key: bytes
    secret: bytes
    nonce: bytes
    until: datetime


class AttestationService:
    """One service, which accepts hosts by these anchors and images."""

    def __init__(
        self,
        service: str,
        group: str,
        key: ec.EllipticCurvePrivateKey,
        anchors: Anchors,
        images: Sequence[Image],
        clock: Clock,
    ) -> None:
        self._service = service
        self._group = group
        self._key = key
        self._anchors = anchors
        self._images = images
        self._clock = clock
        self._pending: dict[str, _Pending] = {}

    def challenge(self, request: Challenge) -> AttestationChallenge:
        """First round: check the endorsement key, and challenge its TPM."""
        endorsement = PublicArea.parse(request.ek_public)
        trusted = self._anchors.check(endorsement, request.ek_certificate, self._clock())
        attestation_key = PublicArea.parse(request.ak_public)
        attestation_key.check_attestation_key()
        self._drop_expired()
        secret, nonce, context = secrets.token_bytes(32), secrets.token_bytes(32), str(uuid4())
        blob, seed = make_credential(endorsement, attestation_key.name, secret)
        self._pending[context] = _Pending(
            request.host_id,
            trusted,
            attestation_key,
            request.answer_key,
            secret,
            nonce,
            self._clock() + CHALLENGE_LIFE,
        )
        return AttestationChallenge(context, blob, seed, nonce)

    def _drop_expired(self) -> None:
        now = self._clock()
        self._pending = {
            context: pending for context, pending in self._pending.items() if pending.until > now
        }
        # The oldest ones go first, so that hosts which never answer cannot fill the memory.
        while len(self._pending) >= MAX_CHALLENGES:
            del self._pending[next(iter(self._pending))]

    def attest(self, request: Attest) -> AttestationResult:
        """Second round: check everything about the host, and issue its tokens."""
        challenge = self._pending.pop(request.context, None)
        if challenge is None or challenge.until <= self._clock():
            raise AttestationFailed("this challenge was answered already, or is too old")
        if not hmac.compare_digest(request.secret, challenge.secret):
            raise AttestationFailed("the attestation key is not in the TPM of the endorsement key")
        verify_signature(challenge.attestation_key, request.attest, request.signature)
        quote = self._check_quote(request.attest, challenge.nonce, request.events)
        image = accept(request.events, self._images)
        claims = token.HostClaims(
            challenge.endorsement,
            token.ImageClaim(image.name, image.version),
            token.Confirmation(challenge.answer_key),
            quote.digest.hex(),
        )
        tokens = {
            kind: self._issue(challenge.host, kind, claims)
            for kind in (token.KMS_AUTH, token.REPORTING)
        }
        return AttestationResult(self._service, self._clock() + token.LIFE, tokens)

    def _check_quote(self, attest: bytes, nonce: bytes, events: Sequence[Event]) -> QuoteInfo:
        quote = QuoteInfo.parse(attest)
        if not hmac.compare_digest(quote.nonce, nonce):
            raise AttestationFailed("the quote is not for this challenge: it is an old one")
        if quote.pcrs != PCRS:
            raise AttestationFailed("the quote is not over the registers that were requested")
        if quote.digest != replay(events):
            raise AttestationFailed("the event log does not lead to the registers of the TPM")
        return quote

    def _issue(self, host: str, kind: str, claims: token.HostClaims) -> str:
        now = self._clock()
        return token.issue(self._key, self._service, self._group, host, now, kind, claims)
