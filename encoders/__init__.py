"""From an item or a query term to unit vectors, one module per encoder; see `encoders.contract`."""
