"""Adapter names, the layout of the store, and the validation of adapters.

Synth, the seeder, the containers and the command line share this package. It imports the standard library
only, because each of the four has another set of dependencies.
"""
