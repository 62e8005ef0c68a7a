"""Artefacts on disk: written whole or not at all, synced, locked, and checked before they are used.

A folder of JSON and tensors is written by `write_folder` and read by `read_folder`; its kind is a `Format`.
`replacing_folder` and `replacing_file` are for what other libraries write. Whoever changes an artefact
holds it with `locked` from reading to writing. Everything that is wrong with what is read is an
`ArtifactError` that names the file.
"""

from morelli.artefacts._file import replacing_file, write_file
from morelli.artefacts._folder import Folder, Format, read_folder, read_manifest, write_folder
from morelli.artefacts._json import document_digest, dump_json, read_json
from morelli.artefacts._lock import locked
from morelli.artefacts._plain import plain_json
from morelli.artefacts._reading import hash_file, inner_path, read_file
from morelli.artefacts._replace import replacing_folder
from morelli.artefacts._schema import COUNT, Each, Number, OneOf, check_schema
from morelli.artefacts._tensors import Tensors, pack_tensors, unpack_tensors

__all__ = [
    "COUNT",
    "Each",
    "Folder",
    "Format",
    "Number",
    "OneOf",
    "Tensors",
    "check_schema",
    "document_digest",
    "dump_json",
    "hash_file",
    "inner_path",
    "locked",
    "pack_tensors",
    "plain_json",
    "read_file",
    "read_folder",
    "read_json",
    "read_manifest",
    "replacing_file",
    "replacing_folder",
    "unpack_tensors",
    "write_file",
    "write_folder",
]
