"""One file per generative family; each models p(x) over matrices and knows nothing of tables."""
