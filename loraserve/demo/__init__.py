"""`make demo`: deployment, comparison and load test on a laptop."""
