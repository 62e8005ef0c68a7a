from __future__ import annotations

import morelli.images


def test_public_names_are_documented():
    for name in morelli.images.__all__:
        thing = getattr(morelli.images, name)
        if callable(thing) and not name.isupper():
            assert (thing.__doc__ or "").strip(), name
