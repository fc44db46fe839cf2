"""Looking at every picture once: what it is, and which pictures are the same."""
