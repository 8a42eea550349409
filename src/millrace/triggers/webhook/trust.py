"""What is wrong with a JSON Web Token, or with the key that it is read with."""


class NotTrusted(Exception):
    """The token is not one that is taken; the message says why, and nothing of the key."""


class UnusableKey(Exception):
    """The key of the config cannot be used with its algorithms."""
