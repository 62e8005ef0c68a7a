"""Shards, workers and the connection behind `morelli.encoders.cluster`."""
