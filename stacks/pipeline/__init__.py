"""Promotion by AWS CodePipeline, an alternative to the workflows of GitHub: a CDK app, `pipeline.py`."""
