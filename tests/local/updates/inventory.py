"""Inventory of a laptop cloud: resources of every kind that a stage creates."""

from __future__ import annotations

from laptop_cloud.cloud import Cloud

#: Service, operation, its parameters, the key of its list, and the key of a name in that.
_LISTS: tuple[tuple[str, str, dict[str, str], str, str], ...] = (
    ("cloudformation", "describe_stacks", {}, "Stacks", "StackName"),
    ("s3", "list_buckets", {}, "Buckets", "Name"),
    ("iam", "list_roles", {}, "Roles", "RoleName"),
    ("iam", "list_policies", {"Scope": "Local"}, "Policies", "PolicyName"),
    ("lambda", "list_functions", {}, "Functions", "FunctionName"),
    ("lambda", "list_layers", {}, "Layers", "LayerName"),
    ("stepfunctions", "list_state_machines", {}, "stateMachines", "name"),
    ("logs", "describe_log_groups", {}, "logGroups", "logGroupName"),
    ("logs", "describe_metric_filters", {}, "metricFilters", "filterName"),
    ("cloudwatch", "describe_alarms", {}, "MetricAlarms", "AlarmName"),
    ("cloudwatch", "list_dashboards", {}, "DashboardEntries", "DashboardName"),
    ("sns", "list_topics", {}, "Topics", "TopicArn"),
    ("sagemaker", "list_models", {}, "Models", "ModelName"),
    ("sagemaker", "list_endpoint_configs", {}, "EndpointConfigs", "EndpointConfigName"),
    ("sagemaker", "list_endpoints", {}, "Endpoints", "EndpointName"),
    (
        "application-autoscaling",
        "describe_scalable_targets",
        {"ServiceNamespace": "sagemaker"},
        "ScalableTargets",
        "ResourceId",
    ),
)


def everything(cloud: Cloud) -> set[tuple[str, str]]:
    """Return list key and name of each resource; KMS keys with a pending deletion count as deleted."""
    found = set()
    for service, operation, parameters, items, name in _LISTS:
        client = cloud.client(service)
        for page in client.get_paginator(operation).paginate(**parameters):
            found |= {(items, item[name]) for item in page[items]}
    kms = cloud.client("kms")
    for key in kms.list_keys()["Keys"]:
        if kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"] != "PendingDeletion":
            found.add(("Keys", key["KeyId"]))
    return found
