#!/opt/conda/bin/python
"""LoRAX's double in the place of /usr/local/bin/lorax-launcher, run by LoRAX's Python.

The tests mount this file there, the repository at /opt/double, and the double's packages at
/opt/engine/site-packages.
"""

import sys

# The double's package `lorax_server` comes before the one that the base image has.
sys.path.insert(0, "/opt/double/tests/contract/lorax_double/site")
sys.path += ["/opt/double", "/opt/engine/site-packages"]

from tests.contract.lorax_double.__main__ import main

if __name__ == "__main__":
    main()
