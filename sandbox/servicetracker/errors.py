"""Answers of the platform that are no success."""

from typing import Any

from sandbox.common.asgi import Response, json_response


class Refusal(Exception):  # noqa: N818 - an answer of the interface, not an error of the simulator
    """An answer with an error body."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def response(self) -> Response:
        """Return the body as the platform shapes it: an array of one."""
        body: list[dict[str, Any]] = [{"message": self.message, "errorCode": self.code}]
        return json_response(self.status, body)


def not_found(what: str = "The requested resource does not exist") -> Refusal:
    """Return the refusal of an address that leads nowhere."""
    return Refusal(404, "NOT_FOUND", what)
