"""The contracts ride in every Lambda and container: they may need pydantic and nothing heavier."""

import subprocess
import sys
from pathlib import Path

CONTRACTS = Path(__file__).parents[2] / "layers" / "contracts"

PROGRAM = """
import importlib, pkgutil, sys
for blocked in ("boto3", "botocore", "tensorflow", "numpy", "pandas", "yaml", "jinja2", "aws_lambda_powertools"):
    sys.modules[blocked] = None
import assay
for module in pkgutil.iter_modules(assay.__path__):
    importlib.import_module(f"assay.{module.name}")
"""


def test_contracts_import_without_boto3_and_tensorflow() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={"PYTHONPATH": str(CONTRACTS)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
