"""The one error meant for the person at the keyboard.

Left out on purpose: a family of exceptions. Who calls Falconet either shows the message or mends the call.
"""


class UserError(ValueError):
    """Something the user can put right. The message says what must hold, what came, and what to do.

    The command line prints the message alone and exits with code 2; from Python it is a `ValueError`.

    >>> raise UserError("scale must be 2, 3 or 4; got 5. Choose one of those.")
    Traceback (most recent call last):
    falconet.errors.UserError: scale must be 2, 3 or 4; got 5. Choose one of those.
    """
