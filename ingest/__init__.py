"""From a source of records to an index: read, validate, encode, write; what cannot go on becomes a dead letter."""
