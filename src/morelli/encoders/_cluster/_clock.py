"""Machines whose clocks are wrong: stores refuse them, and their images must not count as unreadable."""

from __future__ import annotations

import socket
import ssl
import time
from email.utils import parsedate_to_datetime
from typing import Any

from morelli.errors import MorelliError

SKEWED = "RequestTimeTooSkewed"
"""S3's error code for a request that was signed more than 15 minutes before or behind the store's time."""
LARGEST_SKEW = 15 * 60.0
NOT_YET_VALID = 9
"""OpenSSL's number (X509_V_ERR_CERT_NOT_YET_VALID) for a certificate that begins in the future."""


def refuses_the_clock(error: BaseException) -> bool:
    """Whether a server refused a request because of this machine's clock, by the error and its causes.

    Example:
        >>> refuses_the_clock(PermissionError("RequestTimeTooSkewed: the difference is too large"))
        True
        >>> refuses_the_clock(PermissionError("Access Denied"))
        False
    """
    cause: BaseException | None = error
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        response = getattr(cause, "response", None)  # botocore's ClientError
        if isinstance(response, dict) and _skewed(response):
            return True
        if isinstance(cause, ssl.SSLCertVerificationError) and cause.verify_code == NOT_YET_VALID:
            return True
        if SKEWED in str(cause):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _skewed(response: dict[str, Any]) -> bool:
    """By the code, or by the store's own time: its answer to a HEAD request has no code."""
    if response.get("Error", {}).get("Code") == SKEWED:
        return True
    facts = response.get("ResponseMetadata", {})
    if facts.get("HTTPStatusCode") != 403:
        return False
    try:
        there = parsedate_to_datetime(facts["HTTPHeaders"]["date"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return False
    return abs(there - time.time()) > LARGEST_SKEW


def wrong_clock(answer: str) -> MorelliError:
    """The error that ends a job where `answer` refused this machine's clock."""
    return MorelliError(
        f"the clock of {socket.gethostname()} is wrong, so that a server refuses it ({answer}). What is "
        "finished is kept; set the clock, for instance by NTP, and start the same command again to go on"
    )
