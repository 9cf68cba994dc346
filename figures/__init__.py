"""One script per figure: each reads a record and draws it; nothing is computed here."""
