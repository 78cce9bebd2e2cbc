"""Other audit tools, each asked in an environment of its own, and how their figures are read as verdicts."""
