"""Container images: the digests of their bases, and their build by docker, podman or buildah."""
