"""The two kinds of model: what Assay writes and reads back, and what others send it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Ours, stored as JSON: immutable, an unknown key is an error, NaN and infinity never reach a file."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True, ser_json_inf_nan="null"
    )

    def to_json(self) -> str:
        """Indented JSON that ends with a line break, by the names that files carry; same record, same bytes."""
        return self.model_dump_json(by_alias=True, indent=2) + "\n"


class Foreign(BaseModel):
    """Somebody else's: immutable, unknown keys are ignored, as AWS asks of readers of its events."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)
