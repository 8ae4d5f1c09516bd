"""What a person can do about a run that came to nothing, as commands to paste."""

from __future__ import annotations

import shlex

from assay.events import Upload
from assay.failure import Failure
from assay.layout import ARCHIVE_NAME, MODELS_PREFIX, POLICY_NAME


def commands_that_mend(failure: Failure | None, model: str, upload: Upload) -> tuple[str, ...]:
    """Empty where no command is known to help. Each is one line, and a name in it is one word for the shell."""
    if failure is None or failure.error != "NoPolicy":
        return ()
    archive, policy = (f"s3://{upload.bucket}/{key}" for key in (upload.key, f"{MODELS_PREFIX}{model}/{POLICY_NAME}"))
    commands = (
        ["aws", "s3", "cp", archive, ARCHIVE_NAME],
        ["assay", "init", ARCHIVE_NAME, "test-data/"],
        ["aws", "s3", "cp", "--recursive", "test-data/", policy.removesuffix(POLICY_NAME) + "test-data/"],
        ["aws", "s3", "cp", POLICY_NAME, policy],
        ["aws", "s3", "cp", ARCHIVE_NAME, archive],
    )
    return tuple(" ".join(shlex.join(command).split("\n")) for command in commands)
