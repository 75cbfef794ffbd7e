"""The measurements of `benchmarks.throughput`."""
