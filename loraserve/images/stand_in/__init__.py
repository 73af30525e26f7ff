"""Stand-ins of the engines' base images, for machines that cannot pull the real ones.

A stand-in is a small Debian with the layout of the real image as far as the Dockerfiles and the gateway use
it: Python, paths, environment, working directory and command. It has no engine.
"""
