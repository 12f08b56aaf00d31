"""Elasticsearch 9.x: the fields and scripts of 8.x, without its upper bound."""

from __future__ import annotations

from dataclasses import replace

from es_mappings.dialects import elasticsearch8

DIALECT = replace(elasticsearch8.DIALECT, name="elasticsearch9", oldest=(9, 0), newest=None)
