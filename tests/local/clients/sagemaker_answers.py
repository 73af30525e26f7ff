"""Ask with the SageMaker SDK, body by body: python sagemaker_answers.py ENDPOINT invoke|stream BODY…"""

import json
import sys

from botocore.exceptions import ClientError
from sagemaker.core.resources import Endpoint

NAME, WAY, *BODIES = sys.argv[1:]
KIND = "application/json"


def invoke(endpoint, body):
    response = endpoint.invoke(body=body, content_type=KIND)
    return {
        "answer": json.load(response.body),
        "content_type": response.content_type,
        "variant": response.invoked_production_variant,
        "attributes": response.custom_attributes,
    }


def stream(endpoint, body):
    response = endpoint.invoke_with_response_stream(body=body, content_type=KIND)
    return {"stream": b"".join(event["PayloadPart"]["Bytes"] for event in response.body).decode()}


def outcome(way, endpoint, body):
    try:
        return way(endpoint, body)
    except ClientError as error:
        return {
            "error": error.response["Error"]["Code"],
            "original_status": error.response["OriginalStatusCode"],
            "original_message": json.loads(error.response["OriginalMessage"]),
        }


endpoint = Endpoint.get(endpoint_name=NAME)
way = {"invoke": invoke, "stream": stream}[WAY]
outcomes = [outcome(way, endpoint, body) for body in BODIES]
print(json.dumps({"status": endpoint.endpoint_status, "outcomes": outcomes}))
