"""All that is said to AWS: settings, the run's folder in S3, SageMaker jobs, queues, notices."""
