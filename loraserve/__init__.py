"""The command line, and the work of its commands: deployment, adapters, demo, client."""
