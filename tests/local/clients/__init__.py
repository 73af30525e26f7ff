"""Third-party clients, each in a small script as its users write it, and the runner of the scripts.

The scripts run in the environment of requirements-clients.txt and print JSON.
"""
