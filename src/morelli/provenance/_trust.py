"""Whose signatures on Content Credentials are trusted: certificates that the caller gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from morelli.errors import UsageError

_MARK = "-----BEGIN CERTIFICATE-----"
_MOST_BYTES = 16 << 20


@dataclass(frozen=True)
class TrustList:
    """Root certificates in PEM form. None is shipped: C2PA publishes its list for every reader to fetch.

    Attributes:
        anchors: the certificates' text.
    """

    anchors: str

    @classmethod
    def load(cls, path: str | Path) -> TrustList:
        """The certificates of a PEM file.

        Raises:
            UsageError: the file cannot be read, is too large, or holds a certificate that cannot be read.
        """
        try:
            data = Path(path).read_bytes() if Path(path).stat().st_size <= _MOST_BYTES else b""
        except OSError as error:
            raise UsageError(
                f"the trust list {path} cannot be read: {error.strerror}; give a PEM file of certificates"
            ) from error
        text = data.decode("utf-8", "replace")
        if _MARK not in text:
            raise UsageError(
                f"{path} holds no certificate ({_MARK}); give a PEM file of root certificates, such as "
                "C2PA's trust list"
            )
        from cryptography import x509

        try:
            x509.load_pem_x509_certificates(data)
        except ValueError as error:
            raise UsageError(f"{path} holds a certificate that cannot be read: {error}") from error
        return cls(text)
