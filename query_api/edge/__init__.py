"""What surrounds every route of the HTTP service: identity, problems, headers, compression."""
