"""What several folders of tests and the benchmarks share: processes, clients, stores and made data."""
