"""The language of tables: schema, table, layout and reversible encoders; imports nothing else of ours."""
