"""The Attestation Service: looks at a host's TPM, and signs tokens about it (vsphere.md §7.4).

Two rounds. The host shows its endorsement key and an attestation key; the service answers with a
credential that only a TPM holding both can open, and a nonce. The host answers with the opened
secret, a quote over its registers for that nonce, and its event log; it gets two tokens.
"""

import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import ec

from kmipkit_vsphere.model.errors import AttestationFailed
from kmipkit_vsphere.rpc.params import Params
from kmipkit_vsphere.trust_authority import token
from kmipkit_vsphere.trust_authority.anchors import Anchors
from kmipkit_vsphere.trust_authority.credential import make_credential
from kmipkit_vsphere.trust_authority.measurements import Event, Image, accept, replay
from kmipkit_vsphere.trust_authority.structures import PublicArea, QuoteInfo, verify_signature
from kmipkit_vsphere.trust_authority.tpm import PCRS

CHALLENGE_LIFE: Final = timedelta(minutes=1)
MAX_CHALLENGES: Final = 256


@dataclass(frozen=True, slots=True, repr=False)
class _Challenge:
    host: str
    endorsement: str
    attestation_key: PublicArea
    answer_key: bytes
    secret: bytes
    nonce: bytes
    until: datetime


class AttestationService:
    """One service; ``anchors`` and ``images`` give what is configured at the time."""

    def __init__(
        self,
        service: str,
        group: str,
        key: ec.EllipticCurvePrivateKey,
        anchors: Callable[[], Anchors],
        images: Callable[[], list[Image]],
        clock: Callable[[], datetime],
    ) -> None:
        self._service = service
        self._group = group
        self._key = key
        self._anchors = anchors
        self._images = images
        self._clock = clock
        self._open: dict[str, _Challenge] = {}

    def challenge(self, params: Params) -> dict[str, Any]:
        """First round: ``{hostId, ekPublic, ekCertificate?, akPublic, answerKey}``."""
        endorsement = PublicArea.parse(params.data("ekPublic"))
        certificate = params.data("ekCertificate") if params.has("ekCertificate") else None
        found = self._anchors().check(endorsement, certificate, self._clock())
        attestation_key = PublicArea.parse(params.data("akPublic"))
        attestation_key.check_attestation_key()
        self._forget_old()
        secret, nonce, context = secrets.token_bytes(32), secrets.token_bytes(32), str(uuid4())
        blob, seed = make_credential(endorsement, attestation_key.name, secret)
        self._open[context] = _Challenge(
            params.text("hostId"),
            found,
            attestation_key,
            params.data("answerKey"),
            secret,
            nonce,
            self._clock() + CHALLENGE_LIFE,
        )
        return {
            "attested": False,
            "context": context,
            "credentialBlob": token.text(blob),
            "encryptedSecret": token.text(seed),
            "nonce": token.text(nonce),
        }

    def _forget_old(self) -> None:
        now = self._clock()
        self._open = {name: one for name, one in self._open.items() if one.until > now}
        while len(self._open) >= MAX_CHALLENGES:
            del self._open[next(iter(self._open))]

    def attest(self, params: Params) -> dict[str, Any]:
        """Second round: ``{context, secret, attest, signature, events}``; the tokens."""
        challenge = self._open.pop(params.text("context"), None)
        if challenge is None or challenge.until <= self._clock():
            raise AttestationFailed("this challenge was answered already, or is too old")
        if not hmac.compare_digest(params.data("secret"), challenge.secret):
            raise AttestationFailed("the attestation key is not in the TPM of the endorsement key")
        attest = params.data("attest")
        verify_signature(challenge.attestation_key, attest, params.data("signature"))
        events = [Event.from_json(one.values) for one in params.inner_list("events")]
        quote = self._check_quote(attest, challenge.nonce, events)
        image = accept(events, self._images())
        claims = {
            "ek_fingerprint": challenge.endorsement,
            "image": {"name": image.name, "version": image.version},
            "secure_boot": True,
            "pcr_digest": quote.digest.hex(),
            "event_log_reliable": True,
            "cnf": {"x25519": token.text(challenge.answer_key)},
        }
        return {
            "attested": True,
            "serviceId": self._service,
            "until": (self._clock() + token.LIFE).isoformat(),
            "documents": {
                kind: self._issue(challenge.host, kind, claims)
                for kind in (token.KMS_AUTH, token.REPORTING)
            },
        }

    def _check_quote(self, attest: bytes, nonce: bytes, events: list[Event]) -> QuoteInfo:
        quote = QuoteInfo.parse(attest)
        if not hmac.compare_digest(quote.nonce, nonce):
            raise AttestationFailed("the quote is not for this challenge: it is an old one")
        if quote.pcrs != PCRS:
            raise AttestationFailed("the quote is not over the registers that were asked for")
        if quote.digest != replay(events):
            raise AttestationFailed("the event log does not lead to the registers of the TPM")
        return quote

    def _issue(self, host: str, kind: str, claims: Mapping[str, Any]) -> str:
        now = self._clock()
        return token.issue(self._key, self._service, self._group, host, now, kind, claims)
