"""The OpenAPI description of the service, made from its routes and from the models that check its requests.

Our own, over pydantic's JSON Schema. flask-openapi3 4.3 reads the body of a request itself and in its own order: the
errors that name fields, the strict reading of JSON and the multipart form would all have become others.
"""
