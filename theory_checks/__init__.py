"""Theorems about neural collapse, one file per claim: `check` holds it against evidence, `refuted` a false variant."""
