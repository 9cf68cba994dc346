"""Ball arithmetic: what is proved of a critical point."""
