"""Whether the certificates and revocation lists of the server keep it from serving."""

from datetime import datetime

from kmipkit_server.net.tls import TLSSettings
from kmipkit_server.net.validity import Validity, validities


def certificate_problem(tls: TLSSettings, now: datetime) -> str | None:
    """Why clients refuse the server, or it refuses them all; None if neither is so."""
    own = [each for each in validities(tls) if each.role == "server"]
    if all(_is_over(each, now) for each in own):
        return f"{own[0].name}: the certificate is not valid at this time"
    authorities = [each for each in validities(tls) if each.role == "client-authority"]
    if all(_is_over(each, now) for each in authorities):
        return "no certificate of an authority in tls.ca is valid at this time"
    return None


def revocation_problem(tls: TLSSettings, now: datetime) -> str | None:
    """Which expired revocation list makes the server refuse the clients of an authority."""
    if not tls.revocations.files.refuses_expired:
        return None
    for each in validities(tls):
        if each.role == "crl" and now > each.end:
            return f"{each.name}: the revocation list expired on {each.end:%Y-%m-%d %H:%M} UTC"
    return None


def _is_over(validity: Validity, now: datetime) -> bool:
    is_early = validity.begin is not None and now < validity.begin
    return is_early or now > validity.end
