"""Measuring: features, probes, attacks on membership, closeness and intervals; what the metrics are is in `metrics`."""
