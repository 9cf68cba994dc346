"""Report cards, the focal window, softmax codes: jobs and their tables."""
