"""What a label or a folder's name says: 0 real, 1 generated."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

REAL: Final = 0
FAKE: Final = 1

_WORDS: Final = {
    "real": REAL,
    "0": REAL,
    "nature": REAL,
    "human": REAL,
    "authentic": REAL,
    "fake": FAKE,
    "1": FAKE,
    "ai": FAKE,
    "generated": FAKE,
    "synthetic": FAKE,
}
_FOLDERS: Final = {"real": REAL, "0_real": REAL, "fake": FAKE, "1_fake": FAKE, "nature": REAL, "ai": FAKE}
_PLAIN: Final = {name: label for name, label in _FOLDERS.items() if name.endswith(("real", "fake"))}
UNKNOWN: Final = frozenset({"", "unknown", "none", "null", "nan", "na", "n/a"})
"""Spellings of "no label is known"."""

_SPLITS: Final = "train|training|val|valid|validation|test|testing|dev|eval"
# "0_human", "real_images", "training_fake": a split or a class number, the word, what is shown.
_NAME: Final = re.compile(
    rf"(?:(?:{_SPLITS}|[01])[ _-])?"
    r"(?:(?P<real>reals?|nature|natural|authentic|genuine|humans?|human[ _-]?(?:made|created)|non[ _-]?ai)"
    r"|(?P<fake>fakes?|deep[ _-]?fakes?|synthetics?|synthesi[sz]ed|generated|artificial|aigc"
    r"|(?:ai|gan|machine)[ _-]?(?:generated|gen|made|created|synthesi[sz]ed)|ai))"
    r"(?:[ _-]?(?:images?|imgs?|photos?|photographs?|pictures?|pics?|art|artworks?|faces?|samples?"
    r"|data)){0,2}"
)
_PEOPLE: Final = re.compile(r"human.*(?:fac|photo|pic|sample|data)", re.IGNORECASE)
"""Pictures of people, not by people."""
_OF_SPLIT: Final = re.compile(rf"(.+?)[ _-](?:{_SPLITS})", re.IGNORECASE)
_SPELLED: Final = re.compile(r"label[ _-]?(?:name|text|str|string|word|words)")
_CLASS_COLUMN: Final = re.compile(r"(?:class|target|category)(?:[ _-]?names?)?")
_REAL_NAMES: Final = frozenset({"real", "nature", "natural", "authentic", "human", "photo", "photograph"})
_QUESTION: Final = re.compile(
    r"(?:is[ _-]?)?(?:(?P<real>real|authentic|genuine|natural|human|human[ _-]?made|photo|photograph)"
    r"|fake|deep[ _-]?fake|ai|generated|(?:ai|machine)[ _-]?(?:generated|made)|synthetic|artificial|aigc)"
)
# Of what a picture shows, or of its style, say is_human, is_photo and is_natural as often as of its label.
_OF_CONTENT: Final = re.compile(r"is[ _-]?(?:human|photo|photograph|natural|artificial)")
_YES: Final = frozenset({"1", "1.0", "1,0", "true", "yes", "t", "y"})
_NO: Final = frozenset({"0", "0.0", "0,0", "false", "no", "f", "n"})
_SPLIT: Final = re.compile(rf"(?:{_SPLITS})")
# Names of generators, as data sets write them: they tell a generator's folder from a class of pictures.
_GENERATOR: Final = re.compile(
    r"(?<!or)gan(?![a-z])|gan\d|diffusion|midjourney|(?<![a-z])(?:mj|sd|adm|ldm|vqdm|ddpm|dit|crn|imle|san|pndm|dfgan"
    r"|sdxl|iddpm|glide|flux|imagen|firefly|guided|wukong|stable|kandinsky|pixart|deepfake|seeingdark"
    r"|whichfaceisreal|dalle?|dall)(?![a-z])|sdv\d|sdxl|glide|dall-?e",
    re.IGNORECASE,
)
# What WildFake and others put between the label and the generator: its kind.
_FAMILIES: Final = frozenset(
    {"dm", "dms", "gan", "gans", "vae", "vaes", "ar", "other", "others", "diffusion", "diffusions"}
    | {"diffusion_models", "diffusion-models", "autoregressive", "images", "imgs"}
)
# Published sets, whose folder is no generator's.
_SETS: Final = frozenset(
    {"chameleon", "cnn_synth", "cnndetection", "cnndetection_testset", "forensynths", "univfd", "aigcdetect"}
    | {
        "aigcdetectbenchmark",
        "aigcdetectionbenchmark",
        "aigibench",
        "artifact",
        "wildfake",
        "drct-2m",
        "synthbuster",
        "diffusionforensics",
        "genimage",
        "openfake",
        "images",
    }
    | {"data", "dataset", "datasets", "diffusion_datasets", "diffusiondb"}
)
_IMAGENET_PACK: Final = re.compile(r"imagenet_(?:ai_)?(?:\d+_)?(.+)", re.IGNORECASE)
_CLASSES: Final = frozenset(
    # LSUN's and COCO's classes in ForenSynths (progan, cyclegan, stylegan, stylegan2).
    {"airplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable"}
    | {"dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"}
    | {"apple", "orange", "summer", "winter", "zebra", "bedroom", "church"}
)


def label_of(text: str) -> int | None:
    """0 or 1 for a label's usual spellings, in any case; None for anything else.

    >>> label_of("Fake"), label_of("0"), label_of("AI-generated"), label_of("cat")
    (1, 0, 1, None)
    """
    word = text.strip().lower()
    if word in ("0.0", "1.0", "0,0", "1,0"):  # a column of numbers that was once read with gaps in it
        word = word[0]
    found = _WORDS.get(word)
    return _label_in_name(word) if found is None else found


def label_in_column(text: str, column: str) -> int | None:
    """`label_of` in a column whose name is a question, such as ``is_real`` or ``is_ai``: yes, no.

    >>> label_in_column("1", "is_real"), label_in_column("TRUE", "is_ai"), label_in_column("1", "label")
    (0, 1, 1)
    """
    asked = _QUESTION.fullmatch(column.strip().lower())
    word = text.strip().lower()
    if asked is None or word not in _YES | _NO:
        return label_of(text)
    return REAL if (word in _YES) == (asked["real"] is not None) else FAKE


def contradiction(label: int | None, row: Mapping[str, str], generator: str | None = None) -> str | None:
    """What in a row says the opposite of its label, as "column 'value'"; None where nothing does.

    Columns that are questions (``is_real``) and those that spell the label out (``label_name``) are asked,
    but no questions that may be about what is shown (``is_human``, ``is_photo``); those of classes where they
    say real or fake, no more and no less. A generator contradicts by such a name.

    >>> contradiction(1, {"label_name": "real"}), contradiction(0, {"is_ai": "no", "class": "human"})
    ("label_name 'real'", None)
    """
    if label is None:
        return None
    for column, value in row.items():
        kind = _kind_of_column(column)
        word = value.strip().lower() if kind else ""
        if kind == "question":
            stated = label_in_column(word, column)
        elif kind == "spelled":
            stated = None if word.isdigit() else label_of(word)
        else:
            stated = _FOLDERS.get(word) if word in ("real", "fake") else None
        if stated is not None and stated != label:
            return f"{column} {value.strip()!r}"
    if label == FAKE and generator and generator.strip().lower() in _REAL_NAMES:
        return f"generator {generator.strip()!r}"
    return None


@lru_cache(maxsize=4096)
def _kind_of_column(column: str) -> str:
    """Whether a column is a "question" about the label, has it "spelled" or is of a "class"; else nothing."""
    name = column.strip().lower()
    if name.startswith("is") and _QUESTION.fullmatch(name):
        return "" if _OF_CONTENT.fullmatch(name) else "question"
    if _SPELLED.fullmatch(name):
        return "spelled"
    return "class" if _CLASS_COLUMN.fullmatch(name) else ""


def is_label_column(name: str) -> bool:
    """True for a column or a key that states the label, or asks for it.

    >>> is_label_column("Label"), is_label_column("is_ai"), is_label_column("caption")
    (True, True, False)
    """
    return name.strip().lower() == "label" or _kind_of_column(name) in ("question", "spelled")


def plain_label_of_folders(parts: Sequence[str]) -> int | None:
    """The label of the innermost folder called real or fake, with a number or not; no other names count.

    >>> plain_label_of_folders(["ai", "fake", "sdxl"]), plain_label_of_folders(["ai", "nature"])
    (1, None)
    """
    return next((_PLAIN[part.lower()] for part in reversed(parts) if part.lower() in _PLAIN), None)


def label_of_folders(parts: Iterable[str]) -> int | None:
    """The label that the innermost folder with a label's name gives.

    real, fake, 0_real, 1_fake, nature and ai decide before other spellings (human, synthetic,
    real_images, AI-generated, …), which may also be a class of pictures below a generator.

    >>> label_of_folders(["set", "AI_generated"]), label_of_folders(["fake", "sdxl", "human"])
    (1, 1)
    """
    found = _label_folder(list(parts))
    return None if found is None else found[1]


def group_of_folders(parts: Iterable[str]) -> str | None:
    """The generator, or the real source, that a path names; its first part is what was given as a source.

    It is the folder right below the innermost folder that gives a label; folders of a split (train, test)
    and of a kind of generators (GANs, DMs) are passed over. Where nothing lies below, it is looked for
    above, in the layouts of GenImage (``GEN/imagenet_…/train/{ai,nature}``) and ForenSynths
    (``GEN/{0_real,1_fake}``, ``GEN/CLASS/{0_real,1_fake}``): for generated images only.

    >>> group_of_folders(["data", "fake", "sdxl", "2024"]), group_of_folders(["real"])
    ('sdxl', None)
    >>> group_of_folders(["sets", "progan", "airplane", "1_fake"])
    'progan'
    >>> group_of_folders(["fake", "train", "sdxl"])
    'sdxl'
    """
    names = list(parts)
    found = _label_folder(names)
    if found is None:
        return None
    at, label = found
    below = [name for name in names[at + 1 :] if not _SPLIT.fullmatch(name.lower())]
    if below:
        named = [name for name in below if name.lower() not in _FAMILIES]
        if label == FAKE:  # fake/synthbuster/dalle3: the set's name is no generator's
            named = [name for name in named[:-1] if name.lower() not in _SETS] + named[-1:]
        return named[0] if named else None
    return _generator_above(names[:at], names[at].lower()) if label == FAKE else None


def is_generator_name(name: str) -> bool:
    """True for a folder's name that names a generator, as data sets write them.

    >>> is_generator_name("sd_v1_4"), is_generator_name("organs"), is_generator_name("tiny-genimage")
    (True, False, False)
    """
    return _GENERATOR.search(name) is not None and "genimage" not in name.lower()


def generator_of_pack(pack: str, above: str) -> str:
    """The generator of a GenImage pack: the folder above where that names one, else the end of its own name.

    >>> generator_of_pack("imagenet_ai_0419_biggan", "tiny-genimage")
    'biggan'
    >>> generator_of_pack("imagenet_glide", "GLIDE")
    'GLIDE'
    """
    match = _IMAGENET_PACK.fullmatch(pack)
    own = match[1] if match else pack
    return above if is_generator_name(above) or above.lower() == own.lower() else own


def _label_folder(parts: Sequence[str]) -> tuple[int, int] | None:
    """Place and label of the folder that decides."""
    for read in (_FOLDERS.get, _label_in_name):
        for at in range(len(parts) - 1, -1, -1):
            label = read(parts[at].lower())
            if label is not None:
                return at, label
    return None


def _label_in_name(name: str) -> int | None:
    match = _NAME.fullmatch(name.strip().lower())
    if match is None or _PEOPLE.search(name):
        return None
    return REAL if match["real"] else FAKE


def _generator_above(above: Sequence[str], label: str) -> str | None:
    """The generator among the folders that lead to a label's folder; the first of them was given."""
    for at in range(len(above) - 1, -1, -1):
        if label == "ai" and _IMAGENET_PACK.fullmatch(above[at]):
            return generator_of_pack(above[at], above[at - 1] if at else "")
    plain = [
        name
        for name in above
        if name and not _SPLIT.fullmatch(name.lower()) and (name.lower() not in _SETS or name == above[0])
    ]
    split = len(plain) < sum(map(bool, above))
    kept = [
        name for name in plain if not name.lower().startswith("imagenet") and name.lower() not in _CLASSES
    ]
    packed = len(kept) < len(plain)
    # The folder that was given is a generator's only where a class or an ImageNet pack lies below it.
    inside = kept if packed or above[:1] != kept[:1] else kept[1:]
    inside = [name for name in inside if name.lower() not in _SETS]
    for name in reversed(inside):
        if _GENERATOR.search(name):
            parted = _OF_SPLIT.fullmatch(name)  # progan_train
            return parted[1] if parted else name
    if label == "1_fake" and inside:
        return inside[0]
    if label == "1_fake" and kept and _GENERATOR.search(kept[0]):
        return kept[0]
    if label == "ai" and inside and (split or packed):
        return inside[-1]
    return None
