"""Weights from the model hub, in the hub's own cache, pinned at the first download.

For files whose hash the registry does not know, the hub states the SHA-256 of each large file
beforehand; what it states at the first download, with the commit, is kept in the record and every
later download is held to it (trust on first use).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from morelli.artefacts import read_json
from morelli.artefacts.schema import Each, check_schema
from morelli.encoders._cache import Progress, Record, describe, require_hash, sha256_file, weights_id
from morelli.errors import ArtifactError, WeightsError

TIMEOUT_SECONDS = 5.0
"""Wait for an answer: where there is no hub, one attempt is made, then the next source is asked."""

SINGLE = ("model.safetensors", "pytorch_model.bin")
SHARDED = "model.safetensors.index.json"
_EXTRAS = re.compile(
    r"(preprocessor_config|processor_config|tokenizer|tokenizer_config|special_tokens_map|vocab|added_tokens)\.json"
    r"|merges\.txt|vocab\.txt|spiece\.model|tokenizer\.model"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")


class HubUnavailableError(WeightsError):
    """The hub cannot be asked now: offline, not reachable, or no such repository."""


@dataclass(frozen=True)
class _Snapshot:
    folder: Path
    weights: list[Path]
    stated: dict[str, str | None]
    """File name to the SHA-256 that the hub states; None for small files."""
    revision: str


def fetch(
    repo: str,
    source_id: str,
    progress: Progress,
    *,
    revision: str | None = None,
    expected: str | None = None,
    offline: bool = False,
) -> Record:
    """Make an encoder's files present in the hub's cache and return their record.

    Args:
        repo: `owner/name`.
        source_id: what the record calls this source.
        progress: called with what is happening.
        revision: commit to take, where one is pinned.
        expected: `weights_id` that must come, where it is known.
        offline: only look into the hub's cache.

    Raises:
        HubUnavailableError: nothing is cached and the hub cannot be asked.
        WeightsError: the files are not the expected ones, or not of a usable format.
    """
    from huggingface_hub import constants

    found = _from_hub_cache(repo, revision)
    if found is None:
        if offline or constants.HF_HUB_OFFLINE or _truthy(os.environ.get("HF_HUB_OFFLINE")):
            raise HubUnavailableError("nothing in the hub's cache, and the hub may not be asked (offline)")
        found = _download(repo, revision, expected, progress)
    hashes: dict[str, str] = {}
    for path in found.weights:
        hashes[path.name] = sha256_file(path, progress)
        stated = found.stated.get(path.name)
        if stated is not None and hashes[path.name] != stated:
            _forget(path)
            raise WeightsError(
                f"{path.name} of {repo} is damaged (SHA-256 {hashes[path.name][:12]}…, the hub states "
                f"{stated[:12]}…) and was removed. Try again."
            )
    identity = weights_id(hashes)
    if expected is not None:
        require_hash(found.folder, identity, expected, what=f"The weights of {repo}")
    files = [describe(path, hashes[path.name]) for path in found.weights]
    files += [describe(path, sha256_file(path)) for path in _small_files(found.folder)]
    return Record(source_id, identity, str(found.folder), tuple(files), revision=found.revision)


def weight_names(names: Iterable[str], index: Path | None = None) -> tuple[str, ...]:
    """The weights files among a repository's files: safetensors before shards before torch's format.

    `index` is the local copy of the shards' index. Empty when there is none.
    """
    names = set(names)
    if SINGLE[0] in names:
        return (SINGLE[0],)
    if SHARDED in names and index is not None:
        shards = _shard_map(index).values()
        return tuple(sorted(set(map(str, shards))))
    return (SINGLE[1],) if SINGLE[1] in names else ()


def _shard_map(index: Path) -> dict[str, str]:
    try:
        # The hub's cache holds links to its blobs.
        found = read_json(index.resolve(), what="repository")
        check_schema(found, {"weight_map": Each(str)}, index)
    except ArtifactError as error:
        raise WeightsError(f"{error}; remove it and fetch the weights again") from error
    return dict(found["weight_map"])


def _from_hub_cache(repo: str, revision: str | None) -> _Snapshot | None:
    """What an earlier download, ours or another program's, has left whole in the hub's cache."""
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(repo, "config.json", revision=revision)
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    present = {path.name for path in folder.iterdir() if path.exists()}
    names = weight_names(present, folder / SHARDED)
    if not names or not set(names) <= present:
        return None
    # The hub's cache names the blobs of large files by their SHA-256; where it could link, that is a check.
    blobs = {name: (folder / name).resolve().name for name in names}
    stated = {name: blob if _SHA256.fullmatch(blob) else None for name, blob in blobs.items()}
    return _Snapshot(folder, [folder / name for name in names], stated, folder.name)


def _download(repo: str, revision: str | None, expected: str | None, progress: Progress) -> _Snapshot:
    from huggingface_hub import hf_hub_download

    progress(f"Asking the model hub for {repo}", None)
    commit, stated = _list_files(repo, revision)

    def get(name: str) -> Path:
        try:
            return Path(hf_hub_download(repo, name, revision=commit, etag_timeout=TIMEOUT_SECONDS))
        except Exception as error:
            raise HubUnavailableError(_reason(repo, error)) from error

    config = get("config.json")
    index = get(SHARDED) if SHARDED in stated and SINGLE[0] not in stated else None
    names = weight_names(stated, index)
    if not names:
        raise WeightsError(f"{repo} holds none of {', '.join(SINGLE)}; its weights cannot be read.")
    known = {name: digest for name in names if (digest := stated.get(name))}
    if expected is not None and len(known) == len(names) and weights_id(known) != expected:
        raise WeightsError(
            f"the hub now states the weights {weights_id(known)[:12]}… where {expected[:12]}… is needed; "
            "nothing was downloaded"
        )
    progress(f"Fetching {repo} from the model hub", None)
    for extra in filter(_EXTRAS.fullmatch, stated):
        get(extra)
    return _Snapshot(config.parent, [get(name) for name in names], stated, commit)


def _list_files(repo: str, revision: str | None) -> tuple[str, dict[str, str | None]]:
    """One request: the commit, and the files with the hashes of the large ones."""
    from huggingface_hub import HfApi

    try:
        info = HfApi().model_info(repo, revision=revision, timeout=TIMEOUT_SECONDS, files_metadata=True)
    except Exception as error:  # the hub's and its HTTP client's errors have no common root
        raise HubUnavailableError(_reason(repo, error)) from error
    files = {file.rfilename: file.lfs.sha256 if file.lfs else None for file in info.siblings or []}
    return info.sha or "main", files


def _reason(repo: str, error: Exception) -> str:
    """Why the hub gave nothing, with the next step where there is one."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    if isinstance(error, GatedRepoError):
        return f"{repo} is gated: accept its licence on its hub page, then run `hf auth login` and try again"
    if isinstance(error, RepositoryNotFoundError):
        return f"the hub has no repository {repo}, or your token may not see it"
    text = str(error).strip().splitlines()
    return f"the hub is not reachable ({text[0] if text else type(error).__name__})"


def _small_files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.name in ("config.json", SHARDED) or _EXTRAS.fullmatch(path.name)
    )


def _forget(path: Path) -> None:
    """Remove a file from the hub's cache, the blob behind the link included."""
    blob = path.resolve()
    path.unlink(missing_ok=True)
    blob.unlink(missing_ok=True)


def _truthy(text: str | None) -> bool:
    return (text or "").strip().upper() in {"1", "ON", "YES", "TRUE"}
