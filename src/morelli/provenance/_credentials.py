"""Content Credentials (C2PA): who signed what about the file, read by c2pa-python without any network."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from morelli.provenance._finding import Claim, Finding, Strength, details_of, plain
from morelli.provenance._metadata import Metadata
from morelli.provenance._source_type import SOURCE_TYPES, source_type
from morelli.provenance._trust import TrustList
from morelli.provenance._xmp import DC_TERMS

_MOST_INGREDIENTS: Final = 16
_AI_WORDS: Final[dict[Claim, str]] = {
    "generated": "was generated",
    "edited_with_ai": "was edited with generative AI",
    "captured": "was captured by a device",
    "processed": "was made or edited without generative AI being named",
    "none": "carries a manifest that does not say how it was made",
}


def credential_findings(data: bytes, metadata: Metadata, trust: TrustList | None) -> Iterator[Finding]:
    """What the manifest store says, or what is left of it; a remote one is reported, not fetched."""
    if metadata.credentials is not None:
        yield _read(data, metadata.credentials, trust)
        return
    if metadata.xmp is None:
        return
    address = metadata.xmp.first(DC_TERMS, "provenance")
    if address.startswith(("http://", "https://")):
        yield Finding(
            "content_credentials",
            "none",
            "weak",
            "The file names a manifest elsewhere, which was not fetched; what it says is unknown.",
            f"dcterms:provenance in {metadata.xmp.place}",
            None,
            None,
            details_of({"address": plain(address, 500)}),
        )


def _read(data: bytes, place: str, trust: TrustList | None) -> Finding:
    try:
        import c2pa
    except (ImportError, OSError, RuntimeError) as error:  # a platform without its library
        sentence = (
            f"The file holds Content Credentials, which c2pa-python could not be loaded to read: {error}."
        )
        return Finding("content_credentials", "none", "weak", sentence, place)
    try:
        reader = c2pa.Reader.try_create(None, io.BytesIO(data), context=_context(trust))
        if reader is None:
            return _unreadable(place, "no manifest was found in it")
        with reader:
            store = json.loads(reader.json())
            state = str(reader.get_validation_state())
    except (
        Exception
    ) as error:  # The library raises many types on damage; each means that nothing can be read.
        return _unreadable(place, plain(error, 200) or type(error).__name__)
    manifests = store.get("manifests")
    active = manifests.get(store.get("active_manifest")) if isinstance(manifests, dict) else None
    if not isinstance(active, dict):
        return _unreadable(place, "it names no active manifest")
    return _finding(store, active, state, place)


@lru_cache(maxsize=8)
def _context(trust: TrustList | None) -> Any:
    import c2pa

    settings: dict[str, Any] = {
        "verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False},
        "core": {"allowed_network_hosts": []},
    }
    if trust is not None:
        settings["trust"] = {"trust_anchors": trust.anchors}
    return c2pa.Context.from_dict(settings)


def _finding(store: Mapping[str, Any], active: Mapping[str, Any], state: str, place: str) -> Finding:
    claims, why = _claims(store, active, 0)
    tool, version = _generator(active, claims)
    signature = active.get("signature_info")
    signature = signature if isinstance(signature, dict) else {}
    signer = plain(signature.get("issuer") or signature.get("common_name") or "an unnamed signer", 120)
    details = {
        "signer": signature.get("issuer"),
        "certificate": signature.get("common_name"),
        "signed at": signature.get("time"),
        "validation": state,
        "claim generator": _name(active.get("claim_generator_info"), active.get("claim_generator")),
        "actions": ", ".join(dict.fromkeys(str(action.get("action")) for action in _actions(active))),
        "source type": why,
        "ingredients": len(_list(active.get("ingredients"))) or None,
        "failures": ", ".join(_failures(store)),
    }
    by = f" with {tool}{f' {version}' if version else ''}" if tool else ""
    if state not in ("Trusted", "Valid"):
        # A manifest that does not fit the file says nothing of it; what it would have said is a detail.
        details["would claim"] = claims
        sentence = (
            f"The file carries Content Credentials of {signer} whose signature or hashes do not fit it: it "
            "was changed afterwards, or they were taken from another file. What they say counts for nothing."
        )
        return Finding(
            "content_credentials", "none", "weak", sentence, place, tool, version, details_of(details)
        )
    strength: Strength = "signed_trusted" if state == "Trusted" else "signed_unknown"
    worth = (
        f"signed by {signer}, which the trust list contains"
        if state == "Trusted"
        else f"validly signed by {signer}, which no given trust list contains"
    )
    sentence = f"The file says that it {_AI_WORDS.get(claims, '')}{by}; {worth}."
    return Finding(
        "content_credentials", claims, strength, sentence, place, tool, version, details_of(details)
    )


def _claims(store: Mapping[str, Any], manifest: Mapping[str, Any], depth: int) -> tuple[Claim, str]:
    """What a manifest claims of its picture, and the source type that says so.

    Creation decides; a later action that uses a generator makes an edit of it. A manifest that only opens and
    changes a parent hands on the parent's claim, and a generated part makes a composite.
    """
    created: tuple[Claim, str] | None = None
    edits: list[str] = []
    for action in _actions(manifest):
        term = source_type(str(action.get("digitalSourceType", "")))
        if term is None:
            continue
        claim = SOURCE_TYPES[term][0]
        if action.get("action") == "c2pa.created":
            created = created or (claim, term)
        elif claim in ("generated", "edited_with_ai"):
            edits.append(term)
    base = created or _from_parent(store, manifest, depth)
    if base is not None and base[0] == "generated":
        return base
    if edits:
        return "edited_with_ai", edits[0]
    if _has_generated_part(store, manifest, depth):
        return "edited_with_ai", "a generated ingredient"
    if base is not None:
        return base
    return ("processed" if _actions(manifest) else "none"), ""


def _from_parent(
    store: Mapping[str, Any], manifest: Mapping[str, Any], depth: int
) -> tuple[Claim, str] | None:
    for ingredient in _list(manifest.get("ingredients")):
        if ingredient.get("relationship") == "parentOf":
            below = _manifest_of(store, ingredient, depth)
            return _claims(store, below, depth + 1) if below is not None else None
    return None


def _has_generated_part(store: Mapping[str, Any], manifest: Mapping[str, Any], depth: int) -> bool:
    for ingredient in _list(manifest.get("ingredients")):
        if ingredient.get("relationship") == "componentOf":
            below = _manifest_of(store, ingredient, depth)
            if below is not None and _claims(store, below, depth + 1)[0] in ("generated", "edited_with_ai"):
                return True
    return False


def _manifest_of(
    store: Mapping[str, Any], ingredient: Mapping[str, Any], depth: int
) -> Mapping[str, Any] | None:
    """The manifest of an ingredient, unless it did not validate or lies too deep."""
    if depth >= _MOST_INGREDIENTS or _bad(ingredient.get("validation_results")):
        return None
    found = store["manifests"].get(ingredient.get("active_manifest"))
    return found if isinstance(found, dict) else None


def _bad(results: object) -> bool:
    """Failures other than that nobody vouches for the signer."""
    active = results.get("activeManifest") if isinstance(results, dict) else None
    failures = _list(active.get("failure")) if isinstance(active, dict) else []
    return any(failure.get("code") != "signingCredential.untrusted" for failure in failures)


def _actions(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for assertion in _list(manifest.get("assertions")):
        if str(assertion.get("label", "")).startswith("c2pa.actions") and isinstance(
            assertion.get("data"), dict
        ):
            found += _list(assertion["data"].get("actions"))
    return found


def _generator(manifest: Mapping[str, Any], claims: Claim) -> tuple[str | None, str | None]:
    """The program that acted, or else the one that wrote the claim."""
    wanted = {"generated": "c2pa.created", "captured": "c2pa.created"}.get(claims)
    for action in sorted(_actions(manifest), key=lambda one: one.get("action") != wanted):
        agent = action.get("softwareAgent")
        if isinstance(agent, str) and agent:
            return plain(agent, 120), None
        if isinstance(agent, dict) and agent.get("name"):
            return plain(agent["name"], 120), plain(agent.get("version") or "", 60) or None
    for info in _list(manifest.get("claim_generator_info")):
        if info.get("name"):
            return plain(info["name"], 120), plain(info.get("version") or "", 60) or None
    name = manifest.get("claim_generator")
    return (plain(name, 120) or None) if isinstance(name, str) else None, None


def _name(info: object, fallback: object) -> str:
    first = next(iter(_list(info)), {})
    return f"{first.get('name', '')} {first.get('version', '')}".strip() or str(fallback or "")


def _failures(store: Mapping[str, Any]) -> list[str]:
    results = store.get("validation_results")
    active = results.get("activeManifest") if isinstance(results, dict) else None
    return [str(one.get("code")) for one in _list(active.get("failure"))] if isinstance(active, dict) else []


def _list(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _unreadable(place: str, reason: str) -> Finding:
    return Finding(
        "content_credentials",
        "none",
        "weak",
        f"The file holds the remains of Content Credentials that cannot be read: {reason}.",
        place,
    )
