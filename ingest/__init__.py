"""From a source (Hub, S3, local directory) to a revision in the store; used by the seeder and the CLI."""
