"""From a request to a page of hits: parse -> plan -> compile -> execute -> respond."""
