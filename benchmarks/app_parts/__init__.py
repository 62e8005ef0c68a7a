"""Parts that the benchmarks of the app share."""
