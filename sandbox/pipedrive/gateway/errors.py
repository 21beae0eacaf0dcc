"""Error answers. Envelopes follow what is recorded of Pipedrive; where a body is not established the text is ours (assumed)."""

from typing import Any

ERROR_INFO = "Please check developers.pipedrive.com for more information about Pipedrive API."
RATE_LIMIT_TEXT = "Request over limit"
CLOUDFLARE_PAGE = (
    "<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head>"
    "<body><h1>Sorry, you have been blocked</h1><p>Cloudflare Ray ID: 0000000000000000</p></body></html>"
)


class ApiError(Exception):
    """An answer other than success.

    Args:
        status: HTTP status.
        text: Value of `error`.
        code: Value of `code`, where the answer has one.
        info: Value of `error_info` in version 1 bodies.
    """

    def __init__(self, status: int, text: str, *, code: str | None = None, info: str = ERROR_INFO) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.code = code
        self.info = info

    def body(self, version: int) -> dict[str, Any]:
        """Return the body in the envelope of API version 1 or 2."""
        if version == 2:
            return {"success": False, "error": self.text, "code": self.code or _CODES.get(self.status, "ERR_UNKNOWN")}
        body: dict[str, Any] = {"success": False, "error": self.text, "error_info": self.info, "data": None, "additional_data": None}
        if self.code is not None:
            body["code"] = self.code
        return body


class CapError(ApiError):
    """A plan's limit is reached: 403 with the version 1 envelope and a code, in both versions."""

    def body(self, version: int) -> dict[str, Any]:
        """Return the documented body."""
        del version
        return super().body(1)


# Only ERR_SCHEMA_VALIDATION_FAILED and ERR_UNKNOWN have been seen; the other codes are assumed.
_CODES = {
    400: "ERR_BAD_REQUEST",
    403: "ERR_FORBIDDEN",
    404: "ERR_NOT_FOUND",
    405: "ERR_METHOD_NOT_ALLOWED",
    429: "ERR_RATE_LIMIT",
    500: "ERR_UNKNOWN",
}


def not_found(what: str) -> ApiError:
    """404 for a record (text assumed)."""
    return ApiError(404, f"{what} not found", info="Object was not found.")


def bad_request(text: str) -> ApiError:
    """400 for a request that is well formed but impossible (text assumed)."""
    return ApiError(400, text)


def validation_failed(problems: list[str]) -> ApiError:
    """400 of version 2: every problem found, joined by `; `."""
    return ApiError(400, "Validation failed: " + "; ".join(problems), code="ERR_SCHEMA_VALIDATION_FAILED")


def open_deals_cap(thing: str = "deal") -> CapError:
    """403 of the cap on open deals, with which leads are counted (their text is assumed)."""
    return CapError(403, f"Couldn't add the {thing}. Open deals limit reached.", code="feature_capping_deals_limit")


def custom_fields_cap() -> CapError:
    """403 of the cap on custom fields (text assumed, code recorded)."""
    return CapError(403, "Couldn't add the custom field. Custom fields limit reached.", code="feature_capping_custom_fields_limit")


def count_cap(thing: str, owner: str = "company") -> CapError:
    """403 of a cap on the number of some thing per company (text recorded), or per deal (text assumed)."""
    return CapError(403, f"Couldn't add {thing}. You've reached the {thing} per {owner} limit.")


def unauthorized() -> dict[str, Any]:
    """Body of 401."""
    return {"success": False, "error": "unauthorized access", "errorCode": 401, "error_info": "Please check developers.pipedrive.com"}


def internal_error(version: int) -> dict[str, Any]:
    """Body of 500."""
    return ApiError(500, "Internal Server Error").body(version)
