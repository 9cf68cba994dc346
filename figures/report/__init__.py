"""One self-contained page made from stored records: a file per view selects its data, `assets/` draws it."""
