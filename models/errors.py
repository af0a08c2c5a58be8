"""What may be wrong with a bundle."""


class BundleError(Exception):
    """A bundle that cannot be used, said in one sentence."""
