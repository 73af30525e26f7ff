"""What synth, the seeder, the containers and the command line must agree on about adapters.

Adapter names, the layout of the store, and what a valid adapter is. Standard library only, because
this package runs in four places with four sets of dependencies.
"""
