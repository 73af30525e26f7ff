"""Review of a change: two cloud assemblies are compared, and each difference belongs to a finding."""
