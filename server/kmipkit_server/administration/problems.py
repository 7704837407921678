"""What a request is refused with: a problem document (RFC 9457), whose detail says what to do."""

from http import HTTPStatus

import msgspec

MEDIA_TYPE = "application/problem+json"


_PHRASES = {413: "Content Too Large", 422: "Unprocessable Content"}
"""Those of RFC 9110 that Python has only since version 3.13."""


def phrase(status: HTTPStatus) -> str:
    """What a status is called."""
    return _PHRASES.get(status.value, status.phrase)


class Problem(msgspec.Struct, frozen=True):
    """Why a request was refused."""

    title: str
    """The name of the status."""
    status: int
    detail: str
    """What is wrong, and what to do."""


class Refused(Exception):
    """A request is refused; the text is for the one who asks."""

    def __init__(
        self, status: HTTPStatus, detail: str, *, allow: tuple[str, ...] = (), reason: str = ""
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.allow = allow
        """The methods that the path has, if the method was wrong."""
        self.reason = reason or phrase(status)
        """In a word, for the audit."""

    @property
    def problem(self) -> Problem:
        """The body of the answer."""
        return Problem(phrase(self.status), self.status.value, self.detail)


def not_found(detail: str) -> Refused:
    """There is no such thing, as far as the one who asks may know."""
    return Refused(HTTPStatus.NOT_FOUND, detail)


def forbidden(detail: str) -> Refused:
    """The one who asks may not do that."""
    return Refused(HTTPStatus.FORBIDDEN, detail)


def bad_request(detail: str) -> Refused:
    """The request cannot be understood."""
    return Refused(HTTPStatus.BAD_REQUEST, detail)


def conflict(detail: str) -> Refused:
    """The state of the server does not permit it."""
    return Refused(HTTPStatus.CONFLICT, detail)


def unavailable(detail: str) -> Refused:
    """It is not possible now."""
    return Refused(HTTPStatus.SERVICE_UNAVAILABLE, detail)


def unprocessable(detail: str) -> Refused:
    """The request is understood, but what it says is wrong."""
    return Refused(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
