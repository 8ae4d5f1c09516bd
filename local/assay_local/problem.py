"""Why the command cannot go on."""


class Problem(Exception):
    """A sentence that says what is wrong and what to do: shown without a traceback."""
