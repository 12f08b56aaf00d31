"""Whether a picture lands next to the name of its class: a classification nobody has trained for."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from encoders.contract import Encoder
from encoders.parts.alignment import directions
from es_mappings.errors import SettingsError
from es_mappings.schema import Schema, as_values, lookup
from es_mappings.types import Matrix, StoredItem, TextTerm, Vector

MOST = 100
"""A field with more values is no classification."""


def class_field(schema: Schema, items: Sequence[StoredItem], given: str | None) -> str | None:
    """The field that was asked for, else the first facet with a few values; None where there is none.

    Raises SettingsError where the given field has no such values.
    """
    for name in [given] if given else schema.facets:
        field = schema.filter_field(name)
        kinds = {str(value) for item in items for value in as_values(lookup(item.source, name))}
        if (given or (field is not None and field.type == "keyword")) and 2 <= len(kinds) <= MOST:
            return name
    if given:
        raise SettingsError(f"--classes: {given!r} does not hold from 2 to {MOST} different values")
    return None


def classification(
    items: Sequence[StoredItem], field: str, placed: Mapping[str, Matrix], encoder: Encoder, mean: Vector
) -> dict[str, Any] | None:
    """For each way of placing them scikit-learn's report on the items with one class: the nearest name is the answer.

    placed: (n, dims) by method. encoder: of the names' texts, whose mean is taken off. None without scikit-learn, and
    where the encoder understands fewer than two names.
    """
    if importlib.util.find_spec("sklearn") is None:
        return None
    from sklearn.metrics import classification_report

    space = encoder.spaces[0].name
    values = [[str(value) for value in as_values(lookup(item.source, field))] for item in items]
    kinds = sorted({value for own in values for value in own})
    encoded = {name: encoder.encode_query(TextTerm(name)).get(space) for name in kinds}
    rows = [row for row, own in enumerate(values) if len(own) == 1 and encoded[own[0]] is not None]
    truth = [values[row][0] for row in rows]
    names = sorted(set(truth))
    if len(names) < 2:
        return None
    vectors = directions(np.stack([vector for name in names if (vector := encoded[name]) is not None]) - mean)
    found = {}
    for method, matrix in placed.items():
        own = directions(matrix)
        cosines = directions(own - own.mean(axis=0))[rows] @ vectors.T
        guessed = [names[number] for number in cosines.argmax(axis=1)]
        found[method] = classification_report(truth, guessed, output_dict=True, zero_division=0)
    return {"field": field, "items": len(rows), "methods": found}
