"""A folder for PYTHONPATH: every Python process imports its `sitecustomize`."""
