"""From cosines to probabilities of relevance; docs/calibration.md has the reasons and the figures."""
