"""Certificates of our own, and files signed with them."""

from __future__ import annotations

import datetime
import io
from dataclasses import dataclass
from functools import cache
from typing import Any

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.provenance.made import DST

FORMATS = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "HEIF": "image/heic",
    "TIFF": "image/tiff",
    "GIF": "image/gif",
}


@dataclass(frozen=True)
class Chain:
    """A root, and the certificates and the key of a signer below it, all as PEM."""

    root: str
    certificates: bytes
    key: bytes

    def signer(self) -> c2pa.Signer:
        return c2pa.Signer.from_info(
            c2pa.C2paSignerInfo(alg=b"es256", sign_cert=self.certificates, private_key=self.key, ta_url=None)
        )


@cache
def chain(name: str = "Morelli tests") -> Chain:
    """A new chain for each name."""
    now = datetime.datetime.now(datetime.UTC)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def builder(subject: str, public_key: Any) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(_name(name, subject))
            .issuer_name(_name(name, "root"))
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), False)
        )

    root = (
        builder("root", root_key.public_key())
        .add_extension(x509.BasicConstraints(True, None), True)
        .add_extension(_usage(signs_certificates=True), True)
        .sign(root_key, hashes.SHA256())
    )
    leaf = (
        builder("signer", key.public_key())
        .add_extension(x509.BasicConstraints(False, None), True)
        .add_extension(_usage(signs_certificates=False), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), False)
        .sign(root_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Chain(root.public_bytes(pem).decode(), leaf.public_bytes(pem) + root.public_bytes(pem), private)


def created(term: str | None = "trainedAlgorithmicMedia", **more: Any) -> dict[str, Any]:
    """A manifest whose picture was created in one step; without a source type only version 1 allows it."""
    action: dict[str, Any] = {
        "action": "c2pa.created",
        "softwareAgent": {"name": "Some Model", "version": "3"},
    }
    if term:
        action["digitalSourceType"] = DST + term
    return manifest([action], **more, **({} if term else {"claim_version": 1}))


def manifest(actions: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {
        "claim_generator_info": [{"name": "Test Generator", "version": "1.2"}],
        "title": "a picture",
        "assertions": [{"label": "c2pa.actions", "data": {"actions": actions}}],
        **more,
    }


def sign(
    data: bytes,
    format: str,
    definition: dict[str, Any],
    *,
    by: Chain | None = None,
    ingredients: list[tuple[str, bytes]] | None = None,
    remote: str | None = None,
) -> bytes:
    """`data` signed; `ingredients` are pairs of relationship and JPEG; `remote` leaves the manifest out."""
    context = c2pa.Context.from_dict({"builder": {"thumbnail": {"enabled": False}}})
    builder = c2pa.Builder(definition, context=context)
    if remote is not None:
        builder.set_no_embed()
        builder.set_remote_url(remote)
    for relationship, part in ingredients or []:
        about = {"title": "part", "relationship": relationship}
        if relationship == "parentOf":
            builder.set_intent(c2pa.C2paBuilderIntent.EDIT)  # adds the action c2pa.opened
        builder.add_ingredient(about, "image/jpeg", io.BytesIO(part))
    out = io.BytesIO()
    builder.sign((by or chain()).signer(), FORMATS[format], io.BytesIO(data), out)
    return out.getvalue()


def _name(organisation: str, common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "XX"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
