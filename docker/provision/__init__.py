"""What docker/engine.py commands: the engines there are, how they are put together, and how their nodes run."""
