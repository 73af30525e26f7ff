"""Parts of the test that no caller ever gets another adapter's answer while what is published changes."""
