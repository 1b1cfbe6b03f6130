"""Data sets of tests/bench/vecstore, as .npy files: made once, kept in a folder."""
