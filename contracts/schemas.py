"""JSON Schemas of the records on every topic of the project's own."""

from __future__ import annotations

import json

import msgspec

from contracts.records import TOPIC_RECORDS


def topic_schemas() -> dict[str, str]:
    """Kind of topic -> JSON Schema (draft 2020-12) as text."""
    out = {}
    for kind, record in TOPIC_RECORDS.items():
        schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"<feed>.{kind}"} | msgspec.json.schema(record)
        out[kind] = json.dumps(schema, indent=2) + "\n"
    return out
