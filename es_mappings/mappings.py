"""The body that creates an index, as a pure function of schema and dialect (`tests/golden/mappings`)."""

from __future__ import annotations

from typing import Any

from es_mappings.companions import KEYWORD, companion_fields
from es_mappings.dialects import Dialect
from es_mappings.errors import SettingsError
from es_mappings.provenance import Manifest, describe
from es_mappings.schema import VECTOR_OBJECT, FilterField, Schema
from es_mappings.settings import EngineSettings

# With them a word's beginning is one term to look up; without, engines try the first 50 words that begin so.
BEGINNINGS = {"min_chars": 1, "max_chars": 15}

ANALYSIS: dict[str, Any] = {
    "filter": {
        "maxcos_possessive": {"type": "stemmer", "language": "possessive_english"},
        "maxcos_stop": {"type": "stop", "stopwords": "_english_"},
        # Single characters beside bigrams: a one-character word is as common in Chinese as a two-character one.
        "maxcos_bigram": {"type": "cjk_bigram", "output_unigrams": True},
    },
    # Accents that stand beside their letter; asciifolding knows those that are part of it.
    "char_filter": {
        "maxcos_accents": {"type": "pattern_replace", "pattern": "[\u0300-\u036f]", "replacement": ""},
    },
    "analyzer": {
        "maxcos_en": {
            "type": "custom",
            "char_filter": ["maxcos_accents"],
            "tokenizer": "standard",
            "filter": ["maxcos_possessive", "lowercase", "asciifolding", "maxcos_stop", "porter_stem"],
        },
        "maxcos_zh": {
            "type": "custom",
            "tokenizer": "standard",
            "filter": ["cjk_width", "lowercase", "maxcos_stop", "maxcos_bigram"],
        },
        # Every word as it is: what a user types is the beginning of what is written.
        "maxcos_suggest": {
            "type": "custom",
            "char_filter": ["maxcos_accents"],
            "tokenizer": "standard",
            "filter": ["cjk_width", "lowercase", "asciifolding"],
        },
    },
}


def index_body(
    schema: Schema, dialect: Dialect, engine: EngineSettings, manifest: Manifest | None = None
) -> dict[str, Any]:
    """Settings and mappings of a new index. Raises SettingsError when a vector is too wide for the engine."""
    for space in schema.spaces:
        if space.dims > dialect.max_dims:
            raise SettingsError(
                f"modalities.{space.modality}: {space.dims} dimensions, but {dialect.name} takes {dialect.max_dims}"
            )
    return {
        "settings": {
            "index": {
                "number_of_shards": engine.shards,
                "number_of_replicas": engine.replicas,
                "similarity": {"default": {"type": "BM25", "k1": 1.2, "b": 0.75}},
                "analysis": ANALYSIS,
                **dialect.index_settings,
            }
        },
        "mappings": {
            # Fields that nobody searches stay in _source and cost nothing more.
            "dynamic": False,
            "_meta": describe(schema, manifest),
            "properties": properties(schema, dialect),
        },
    }


def properties(schema: Schema, dialect: Dialect) -> dict[str, Any]:
    """The fields of the mapping: id, BM25 fields, filter fields and the object of vector fields with
    their companions."""
    fields: dict[str, Any] = {"id": {"type": "keyword"}}
    fields |= {field.name: text_field(schema, field.name) for field in schema.text}
    own = [f for f in schema.filters if not schema.is_text(f.name)]
    fields |= {f.name: filter_field(f) for f in own if schema.nested_path(f.name) is None}
    for path in schema.nested:
        inner = {f.name.removeprefix(f"{path}."): filter_field(f) for f in own if schema.nested_path(f.name) == path}
        fields[path] = {"type": "nested", "dynamic": False, "properties": inner}
    vectors = {space.name: dialect.vector_field(space) for space in schema.spaces}
    within = {**vectors, **companion_fields(schema)}
    fields[VECTOR_OBJECT] = {"type": "object", "dynamic": "strict", "properties": within}
    return fields


def text_field(schema: Schema, name: str) -> dict[str, Any]:
    """One analysis per language: the first on the field itself, the others as its sub-fields, like exact values and
    the beginnings of words.
    """
    first, *others = schema.languages
    fields: dict[str, Any] = {language: {"type": "text", "analyzer": f"maxcos_{language}"} for language in others}
    if schema.filter_field(name):
        fields["keyword"] = KEYWORD
    if name in schema.suggest:
        fields["suggest"] = {"type": "text", "analyzer": "maxcos_suggest", "index_prefixes": BEGINNINGS}
    return {"type": "text", "analyzer": f"maxcos_{first}", **({"fields": fields} if fields else {})}


def filter_field(field: FilterField) -> dict[str, Any]:
    match field.type:
        case "keyword":
            return dict(KEYWORD)
        case "number":
            return {"type": "double"}
        case "date":
            return {"type": "date", "format": "strict_date_optional_time"}
        case "boolean":
            return {"type": "boolean"}


# --- where things are, in an index of ours or in one that was attached


def filter_path(schema: Schema, name: str) -> str:
    """The field that a filter, sort or aggregation on `name` reads."""
    if schema.layout is not None:
        return schema.layout.filters[name]
    return f"{name}.keyword" if schema.is_text(name) else name


def language_paths(schema: Schema, name: str) -> tuple[str, ...]:
    """The fields that BM25 searches for the text field `name`: one per analysis."""
    if schema.layout is not None:
        return schema.layout.text[name]
    return (name, *(f"{name}.{language}" for language in schema.languages[1:]))


def text_paths(schema: Schema) -> list[str]:
    """Every BM25 field with its boost, as `multi_match` wants them."""
    boosted = [(f.name, f"^{f.boost:g}" if f.boost != 1 else "") for f in schema.text]
    return [path + boost for name, boost in boosted for path in language_paths(schema, name)]


def suggest_path(schema: Schema, name: str) -> str:
    """The field in which the beginning of a title is looked for."""
    return f"{name}.suggest" if schema.layout is None else schema.layout.text[name][0]


def tie_path(schema: Schema) -> str:
    """The field that tells any two items apart."""
    return "id" if schema.layout is None else f"{VECTOR_OBJECT}.id"
