"""The command line: settings from options and files, folders, records."""
