"""What a command that a test ran came to."""


class Failed(Exception):
    """A command did not do what was expected."""


class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    @classmethod
    def of(cls, p):
        """From what subprocess.run() returns."""
        return cls(p.returncode, p.stdout, p.stderr)

    @property
    def ok(self):
        return self.status == 0

    def __repr__(self):
        return f"exit {self.status}\n--- stdout\n{self.out}--- stderr\n{self.err}"
