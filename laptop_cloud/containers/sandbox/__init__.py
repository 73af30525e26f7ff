"""An image's command in the image's root file system, as SageMaker runs it; Linux, root and bubblewrap.

    python -m laptop_cloud.containers.sandbox SPEC

`main.py` runs one container to its end: `linux.py`, `network.py` and `filesystem.py` make its namespaces,
`bubblewrap.py` its command line, `relay.py` its connections. A container daemon is not needed. The namespaces
and mounts belong to the container's processes alone: they end with the last of these, also after a kill.
"""
