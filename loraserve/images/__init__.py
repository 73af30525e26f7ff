"""The containers' images: digests of their bases, and the tools that build and run them."""
