"""Buckets of a real S3 server: listed a page at a time, in the order of their names."""

from __future__ import annotations

import pytest

from morelli.errors import UsageError
from morelli.images import Limits, iter_source
from tests.images.hostile import encoded
from tests.s3_server import bucket_of, s3_server

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:botocore"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:aiobotocore"),
]


def test_a_bucket_is_listed_in_pages() -> None:
    picture = encoded("JPEG")
    with s3_server() as address:
        system = bucket_of(address)
        names = [f"set/{'real' if n % 2 else 'fake/sd-xl'}/{n:04}.jpg" for n in range(1040)]
        names += ["set/real-0.jpg", "set/real/.jpg/x.png", "set/notes.txt", "other/a.jpg"]
        system.pipe({f"pictures/{name}": picture for name in names})
        system.pipe("pictures/set/empty/", b"")  # as consoles mark a folder

        found = list(iter_source("s3://pictures/set", remote="given", label_from="folders"))
        expected = sorted(f"s3://pictures/{n}" for n in names if n.startswith("set/") and n.endswith("g"))
        assert [item.uri for item in found] == expected
        assert sum(item.label == 0 for item in found) == 521
        assert {item.generator for item in found if item.label == 1} == {"sd-xl"}
        assert found[700].read() == picture
        whole = list(iter_source("s3://pictures", remote="given"))
        assert whole[0].uri == "s3://pictures/other/a.jpg" and len(whole) == 1043

        few = iter_source("s3://pictures/set", remote="given", limits=Limits(max_members=20))
        assert next(few).uri == expected[0]
        with pytest.raises(UsageError, match="more than 20 files"):
            list(few)
        with pytest.raises(UsageError, match="cannot be listed"):
            list(iter_source("s3://no-such-bucket/set", remote="given"))
