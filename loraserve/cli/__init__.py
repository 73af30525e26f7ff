"""The command line: commands, tables and console."""
