"""The one error for what fails through no mistake in the call: said in one line, with what to do next."""


class Failure(RuntimeError):
    """Something outside the program failed (a file, a model, a server); the message says what to do next."""
