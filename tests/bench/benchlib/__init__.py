"""What the benchmark drivers share; Python's standard library only."""
