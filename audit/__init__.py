"""The audit: judges synthetic rows against real ones; decides nothing, writes nothing."""
