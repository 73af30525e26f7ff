"""Other people's clients, each in a small script as its users write them, and what runs the scripts.

The scripts run in the environment of requirements-clients.txt and print JSON.
"""
