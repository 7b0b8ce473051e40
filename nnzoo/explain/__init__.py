"""Explanations: of a code (`codes`), a key of the YAML language, a config or a run. No torch in here."""
