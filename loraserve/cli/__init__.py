"""The command line: one module for each command, the list of commands, and the consoles."""
