"""Parts of the test that no client ever gets another adapter's answer while the published adapters change."""
