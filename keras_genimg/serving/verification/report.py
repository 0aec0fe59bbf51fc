"""Reports of verifications."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Check:
    """Result of one check.

    Attributes:
        name: Name of the check.
        passed: Whether it passed.
        message: Summary of the check, or its faults.
    """

    name: str
    passed: bool
    message: str

    def __str__(self) -> str:
        verdict = "pass" if self.passed else "FAIL"
        return f"{verdict}  {self.name}: {self.message}"


@dataclasses.dataclass
class Report:
    """Results of all checks of a SavedModel.

    Attributes:
        directory: Path of the SavedModel.
        checks: List of `Check`.
    """

    directory: str
    checks: list[Check] = dataclasses.field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    def __str__(self) -> str:
        verdict = "can be served" if self.passed else "must not be served"
        return "\n".join([*map(str, self.checks), f"{self.directory} {verdict}"])


class VerificationError(ValueError):
    """Raised if a SavedModel fails verification.

    Args:
        report: `Report` of the verification.
    """

    def __init__(self, report: Report):
        super().__init__(f"Verification failed:\n{report}")
        self.report = report
