"""Memory and hardware of each engine, one module per engine; estimates are marked as such."""
