"""What Assay's functions and containers must agree on: frozen pydantic models, and nothing else."""
