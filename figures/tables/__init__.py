"""The README's tables, one file each, named after the table: `table(record)` makes the Markdown from a stored record.

`figures/readme.py` finds them by name; nothing to register.
"""
