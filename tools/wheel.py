"""Puts the application into the wheel, beside the command that deploys it: the same files that a checkout has."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class WithApplication(BuildHookInterface):  # type: ignore[type-arg]  # its parameter is hatchling's own configuration
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "standard":  # an editable install uses the checkout itself
            for name in ("containers", "events", "functions", "layers", "template.yaml"):
                build_data["force_include"][name] = f"assay_local/application/{name}"
