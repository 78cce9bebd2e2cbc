"""One self-contained page, made from estimates and verdicts."""
