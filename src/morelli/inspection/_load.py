"""`load`: from names and folders to an `Inspector`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from morelli.errors import BuildMismatchError, UsageError
from morelli.inspection._inspector import Inspector
from morelli.inspection._second import SecondDetector
from morelli.inspection.answers import Precision

if TYPE_CHECKING:
    from collections.abc import Callable

    from morelli.atlas.distiller import DistilledMap
    from morelli.detectors import Bundle, Ensemble
    from morelli.encoders import Build, Encoder, EncoderSet, LastBlock
    from morelli.explanation import ConceptSpace


def load(
    bundle: Bundle | Ensemble | Path | str | None = None,
    *,
    base_rate: float | None = None,
    fpr: float | None = None,
    distilled: Path | str | None = None,
    concepts: Sequence[Path | str] = (),
    reference: Path | str | None = None,
    encoder: str | None = None,
    weights: Path | str | Sequence[Path | str] | None = None,
    device: str = "auto",
    offline: bool = False,
    precision: Precision = "auto",
    beside: Bundle | Ensemble | Path | str | None = None,
    explain: bool = True,
    on_progress: Callable[[str, float | None], None] | None = None,
) -> Inspector:
    """Load a detector with its encoder, fetching and checking the weights the first time.

    Args:
        bundle: a `Bundle`, an `Ensemble`, or the folder of either; the shipped bundle if None.
        base_rate: share of generated images to assume; the bundle's if None.
        fpr: share of real images that may be called AI-generated; the bundle's if None.
        distilled: folder of the distilled map, another reader beside the bundle. The shipped one if None,
            where it belongs to the bundle's encoder.
        concepts: folders of concept banks, for evidence in words; the shipped ones if empty.
        reference: feature table with real images that `concepts` are measured from.
        encoder: the hub id of the bundle's encoder where it is not registered, so that it may be fetched.
        weights: the encoder's weights on this machine, as for `load_encoder`; for an ensemble several, in any
            order.
        device: `cpu`, `cuda`, …; `auto` takes CUDA where there is one.
        offline: never touch the network.
        precision: ``exact``, ``auto``, ``fast`` or ``fastest``: float32, or bfloat16 or int8 where it is
            known what that costs. ``auto`` keeps verdicts: bfloat16, or int8 where the processor has no
            bfloat16, with images near a threshold in float32, where the bundle allows it. Answers say what
            was used.
        beside: a second detector that judges the same images and is shown beside the first, at its base rate.
            Encoders that both read run once. `weights` may then be several, in any order.
        explain: also load what explains a verdict: distilled map, concepts and the parts of typical images.
            `detect` needs none of them, and their features need not be computed.
        on_progress: gets a message and a fraction (or None) while weights are fetched; by default they are
            written to stderr.

    Raises:
        UsageError: concepts without a reference, a rate that the bundle cannot give, a detector beside
            itself, or a distilled map or concepts where nothing is to be explained.
        ArtifactError: the bundle, the distilled map or a bank is missing or damaged.
        BuildMismatchError: the distilled map belongs to another build than the bundle.
        WeightsError: the weights cannot be had, are damaged, or are not what was pinned.

    Example:
        >>> import morelli
        >>> detector = morelli.load()
        >>> print(detector.inspect("photo.jpg").sentence)
        Morelli ... with the detector default ... “photo.jpg” ...
    """
    from morelli.detectors import Bundle, Ensemble, default_bundle_path, load_detector
    from morelli.encoders import Encoder
    from morelli.explanation.deciding import shipped_typical_parts

    if not isinstance(bundle, Bundle | Ensemble):
        bundle = load_detector(bundle or default_bundle_path())
    if fpr is not None:
        bundle = bundle.with_fpr(fpr)
    if base_rate is not None:
        bundle = bundle.with_base_rate(base_rate)
    other = None if beside is None else second_bundle(beside, bundle)
    if isinstance(bundle, Ensemble) and (distilled is not None or concepts):
        raise UsageError(
            "A distilled map and concepts belong to one encoder: give one bundle, or leave them out."
        )
    if not explain and (distilled is not None or concepts):
        raise UsageError("A distilled map and concepts explain verdicts: leave explain=False out.")
    for one in (bundle, other):
        for member in one.members if isinstance(one, Ensemble) else (one,):
            # Built once here, not in the first question of every thread.
            _ = member is not None and member.bank is not None and member.bank.index
    found, digest = None, None
    space: ConceptSpace | None = None
    names: tuple[str, ...] = ()
    if explain and isinstance(bundle, Bundle):
        found, digest = _load_distilled(bundle, None if distilled is None else Path(distilled))
        space, names = _load_concepts(bundle, [Path(path) for path in concepts], reference)
    # The weights last, since they may have to be fetched.
    loaded, second = _load_encoders(
        bundle,
        other,
        [weights] if isinstance(weights, str | Path) else list(weights or ()),
        encoder=encoder,
        device=device,
        offline=offline,
        **({} if on_progress is None else {"progress": on_progress}),
    )
    exact = Inspector(
        encoder=loaded,
        bundle=bundle,
        distilled=found,
        distilled_digest=digest,
        last_block=_last_block(loaded, found.kind) if found and isinstance(loaded, Encoder) else None,
        space=space,
        concepts=names,
        typical=shipped_typical_parts(bundle)
        if explain and isinstance(bundle, Bundle) and bundle.head
        else None,
        second=second,
    )
    return exact.at_precision(precision)


def second_bundle(beside: Bundle | Ensemble | Path | str, first: Bundle | Ensemble) -> Bundle | Ensemble:
    """The second detector, read where it is a folder.

    Raises:
        ArtifactError: its folder is missing or damaged.
        UsageError: it is the first one.
    """
    from morelli.detectors import Bundle, Ensemble, load_detector

    second = beside if isinstance(beside, Bundle | Ensemble) else load_detector(beside)
    if second is first or (second.digest is not None and second.digest == first.digest):
        raise UsageError(
            f"The second detector, {second.name}, is the first one: name another folder, or leave it out."
        )
    return second


def _load_encoders(
    bundle: Bundle | Ensemble,
    other: Bundle | Ensemble | None,
    weights: Sequence[Path | str],
    **how: Any,
) -> tuple[Encoder | EncoderSet, SecondDetector | None]:
    """The encoder of a bundle, and the second detector with its own, each build loaded once."""
    from morelli.detectors import Ensemble
    from morelli.encoders import EncoderSet, encoder_for_build

    if other is None and not isinstance(bundle, Ensemble):
        if len(weights) > 1:
            raise UsageError(f"The bundle {bundle.name} has one encoder: give one folder or file of weights.")
        return encoder_for_build(bundle.build, weights=weights[0] if weights else None, **how), None
    both = [bundle, *([] if other is None else [other])]
    builds = {build.qualified(""): build for one in both for build in builds_of(one)}
    loaded = EncoderSet.for_builds(list(builds.values()), weights=weights, **how)
    of = dict(zip(builds, loaded.encoders, strict=True))

    def own(detector: Bundle | Ensemble) -> Encoder | EncoderSet:
        encoders = [of[build.qualified("")] for build in builds_of(detector)]
        return EncoderSet(encoders) if isinstance(detector, Ensemble) else encoders[0]

    return own(bundle), None if other is None else SecondDetector(other, own(other))


def builds_of(detector: Bundle | Ensemble) -> tuple[Build, ...]:
    """The builds whose encoders a detector reads."""
    from morelli.detectors import Ensemble

    return detector.builds if isinstance(detector, Ensemble) else (detector.build,)


def _load_distilled(bundle: Bundle, path: Path | None) -> tuple[DistilledMap | None, str | None]:
    from morelli.atlas import distiller

    folder = path or distiller.default_map_path()
    found = distiller.DistilledMap.load(folder)
    if not found.build.matches(bundle.build):
        if path is None:
            return None, None  # the shipped map belongs to the shipped bundle's encoder
        raise BuildMismatchError(
            f"The distilled map {path} belongs to {found.build.encoder} (build {found.build.fingerprint}), "
            f"the bundle {bundle.name} to {bundle.build.encoder} (build {bundle.build.fingerprint}): give "
            "two of one build."
        )
    return found, folder_digest(folder)


def _last_block(encoder: Encoder, kind: str) -> LastBlock | None:
    from morelli.encoders import LastBlock

    try:
        return LastBlock(encoder, kind)
    except UsageError:
        return None  # not a CLIP: verdicts work, relevance maps raise MissingPartError


def _load_concepts(
    bundle: Bundle, banks: Sequence[Path], reference: Path | str | None
) -> tuple[ConceptSpace | None, tuple[str, ...]]:
    from morelli.explanation import bundle_space, shipped_space
    from morelli.explanation.concepts import ConceptBank

    if not banks:
        space = shipped_space(bundle)
        return space, () if space is None else ("default",)
    if reference is None:
        raise UsageError(
            "Concepts are measured from typical real images: give a feature table with some (reference), of "
            f"the bundle's kinds: {bundle.extract_command()}"
        )
    from morelli.features import FeatureTable

    real = FeatureTable.open(reference).load(kinds=list(bundle.head_kinds), where="label = 0")
    space = bundle_space(bundle, [ConceptBank.load(path) for path in banks], real)
    return space, tuple(path.name for path in banks)


def folder_digest(path: Path) -> str:
    """SHA-256 over the names and contents of an artefact's files."""
    digest = hashlib.sha256()
    for file in sorted(one for one in path.rglob("*") if one.is_file()):
        digest.update(file.relative_to(path).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
