"""Engine records: the facts of each engine that synth, seeder and container share, one module per engine."""
