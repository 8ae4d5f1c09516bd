"""What SageMaker and a processing job agree on: folders, progress, and how a job ends. Shared by all containers."""
