"""What a verification found."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What was looked at.
        passed: Whether nothing was wrong.
        message: What was done, or what was wrong.
    """

    name: str
    passed: bool
    message: str

    def __str__(self):
        verdict = "pass" if self.passed else "FAIL"
        return f"{verdict}  {self.name}: {self.message}"


@dataclasses.dataclass
class Report:
    """The checks of one SavedModel.

    Attributes:
        directory: Its path.
        checks: List of `Check`.
    """

    directory: str
    checks: list[Check] = dataclasses.field(default_factory=list)

    @property
    def passed(self):
        """Whether every check passed."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    def __str__(self):
        verdict = "can be served" if self.passed else "must not be served"
        return "\n".join([*map(str, self.checks), f"{self.directory} {verdict}"])


class VerificationError(ValueError):
    """A SavedModel must not be served.

    Args:
        report: Its `Report`.
    """

    def __init__(self, report):
        super().__init__(f"Verification failed:\n{report}")
        self.report = report
