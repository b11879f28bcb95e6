"""Documents: everything between bytes and a validated `Document`.

`parsing` turns bytes into raw objects, `envelope` a raw object into a document or a rejection, `canonical` a document
into its stored form and its digest.

Invariant: whatever arrives, the outcome is a value; nothing here raises for a sender's mistake.
"""

from controller.documents.bounds import FILE_BOUNDS, INLINE_BYTES_MAX, MESSAGE_BOUNDS, Bounds
from controller.documents.canonical import canonical_json, digest_of, from_json, spec_digest, to_json
from controller.documents.envelope import find_kind, read_document
from controller.documents.explain import Explanation, Member, explain, split_kind_and_path
from controller.documents.files import files_with_documents
from controller.documents.parsing import SUFFIXES, Raw, parse_file, parse_message
from controller.documents.policy import Policy
from controller.documents.reading import read_file, read_file_in_parts, read_message, receive
from controller.documents.rejection import ClaimedIdentity, Rejection, reject
from controller.documents.schema import json_schema, json_schema_of_all

__all__ = [
    "FILE_BOUNDS",
    "INLINE_BYTES_MAX",
    "MESSAGE_BOUNDS",
    "SUFFIXES",
    "Bounds",
    "ClaimedIdentity",
    "Explanation",
    "Member",
    "Policy",
    "Raw",
    "Rejection",
    "canonical_json",
    "digest_of",
    "explain",
    "files_with_documents",
    "find_kind",
    "from_json",
    "json_schema",
    "json_schema_of_all",
    "parse_file",
    "parse_message",
    "read_document",
    "read_file",
    "read_file_in_parts",
    "read_message",
    "receive",
    "reject",
    "spec_digest",
    "split_kind_and_path",
    "to_json",
]
