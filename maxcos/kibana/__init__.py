"""What Kibana imports, and what its Console runs."""
