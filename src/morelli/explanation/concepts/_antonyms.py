"""Our own list of opposites by which people describe how a picture looks, not what it shows."""

from __future__ import annotations

ANTONYMS: tuple[tuple[str, str], ...] = (
    # colour
    ("vivid colours", "muted colours"),
    ("warm tones", "cold tones"),
    ("full of colour", "black and white"),
    ("pastel colours", "deep, dark colours"),
    ("natural skin tones", "orange skin tones"),
    ("neutral white balance", "a strong colour cast"),
    ("one dominant colour", "many different colours"),
    ("smooth colour gradients", "visible colour banding"),
    # light and tone
    ("bright", "dark"),
    ("high contrast", "low contrast"),
    ("soft light", "hard light"),
    ("daylight", "artificial light"),
    ("lit from behind", "lit from the front"),
    ("even lighting", "dramatic lighting"),
    ("deep shadows", "no shadows"),
    ("blown-out highlights", "well exposed highlights"),
    ("crushed blacks", "detail in the shadows"),
    ("glowing highlights", "dull highlights"),
    ("direct camera flash", "available light"),
    ("shadows that agree with the light", "shadows that contradict the light"),
    ("HDR processing", "an unprocessed look"),
    ("dark corners", "evenly lit corners"),
    # detail and texture
    ("sharp", "blurry"),
    ("fine detail", "little detail"),
    ("rough texture", "smooth texture"),
    ("pores and wrinkles", "flawless plastic skin"),
    ("clean", "noisy"),
    ("film grain", "digital smoothness"),
    ("crisp edges", "soft edges"),
    ("heavily compressed", "uncompressed"),
    ("high resolution", "low resolution"),
    ("over-sharpened", "naturally sharp"),
    ("repeating patterns", "irregular patterns"),
    # optics and camera
    ("blurred background", "everything in focus"),
    ("wide-angle view", "telephoto view"),
    ("seen from close by", "seen from far away"),
    ("seen from above", "seen from below"),
    ("motion blur", "frozen motion"),
    ("lens flare", "no lens flare"),
    ("colour fringes", "no colour fringes"),
    ("straight lines", "warped lines"),
    ("correct perspective", "impossible perspective"),
    ("taken with a phone", "taken with a professional camera"),
    ("an old photograph", "a recent photograph"),
    # composition
    ("symmetric", "asymmetric"),
    ("centred subject", "subject at the edge"),
    ("cluttered", "tidy"),
    ("simple background", "busy background"),
    ("tightly cropped", "much empty space"),
    ("level horizon", "tilted horizon"),
    ("one subject", "many subjects"),
    ("posed", "candid"),
    ("complete objects", "objects cut off by the edge"),
    # making and plausibility
    ("a photograph", "a painting"),
    ("a photograph", "a computer rendering"),
    ("a photograph", "a cartoon"),
    ("a snapshot", "an advertisement"),
    ("realistic", "surreal"),
    ("ordinary", "spectacular"),
    ("plausible anatomy", "deformed anatomy"),
    ("legible writing", "garbled writing"),
    ("retouched", "unretouched"),
    ("worn and used", "brand new and spotless"),
    ("overlaid text or a watermark", "no text"),
)
"""Pairs (one end, the other); a pair makes one direction, from the second to the first."""

TEMPLATES: tuple[str, ...] = ("{}", "a picture with this look: {}", "an image described as {}")
"""Prompts around a text; embeddings are averaged over them."""
