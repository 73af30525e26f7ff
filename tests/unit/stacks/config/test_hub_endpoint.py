"""The URLs of mirrors that people have, and those that are refused without being quoted."""

import pytest

from stacks.config.hub_endpoint import endpoint_problem, is_loopback, normalized


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://huggingface.co/", "https://huggingface.co"),
        # As JFrog Artifactory and Sonatype Nexus give them for HF_ENDPOINT.
        ("https://artifactory.example.com/artifactory/api/huggingfaceml/hf-remote",
         "https://artifactory.example.com/artifactory/api/huggingfaceml/hf-remote"),
        ("https://nexus.example.com/repository/hf/", "https://nexus.example.com/repository/hf"),
        ("HTTPS://Nexus.Example.com:8443/repository/HF//", "https://nexus.example.com:8443/repository/HF"),
        ("https://[2001:db8::1]:8443/hf", "https://[2001:db8::1]:8443/hf"),
        ("http://[::1]:8081/hf/", "http://[::1]:8081/hf"),
        ("http://localhost:9000", "http://localhost:9000"),
    ],
)  # fmt: skip
def test_an_endpoint_is_taken_without_the_slash_at_its_end(url: str, endpoint: str) -> None:
    assert normalized(url) == endpoint
    assert endpoint_problem(endpoint) is None
    assert is_loopback(endpoint) == endpoint.startswith("http:")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://me:secret@hub.example.com/hf", "a user name or a password"),
        ("https://secret@hub.example.com", "a user name or a password"),
        ("https://me:secret/@hub.example.com:x", "is not a URL"),
        ("https://hub.example.com/hf?token=secret", "a query or a fragment"),
        ("https://hub.example.com/hf#secret", "a query or a fragment"),
        ("https://hub.example.com/hf secret", "a space"),
        ("https://hub.example.com:99999", "is not a URL"),
        ("https://[::1/secret", "is not a URL"),
        ("hub.example.com/secret", "is not the URL of a server"),
        ("ftp://hub.example.com/secret", "is not the URL of a server"),
        ("https:///secret", "is not the URL of a server"),
        ("https://hub.example.com//secret", "an empty part"),
        ("https://hub.example.com/../secret", "'..' in its path"),
        ("https://huggingface.co/secret/model", "inside of the Hub: write https://huggingface.co"),
        ("https://hf.co", "inside of the Hub: write https://huggingface.co"),
        ("http://hub.example.com", "must be https"),
        ("http://127.0.0.1.example.com", "must be https"),
    ],
)
def test_another_url_is_refused_without_a_word_of_it(url: str, problem: str) -> None:
    found = endpoint_problem(normalized(url))
    assert found is not None
    assert problem in found
    assert "secret" not in found.replace("hub_token_secret", "").replace("in the secret that", "")
